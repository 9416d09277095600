// Segship for C#: one file, on the library segship (libsegship.so, segship.dll). C# 6 or newer, .NET and Mono.
using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Runtime.InteropServices;
using System.Text;

namespace Segship
{
    /// <summary>What kind of error it is; the same kinds as in Python.</summary>
    public enum ErrorKind
    {
        /// <summary>An image, buffer or argument cannot be used.</summary>
        Input = 1,
        /// <summary>The network cannot take what the image becomes.</summary>
        Size = 2,
        /// <summary>The package is damaged, incomplete, or newer than this library.</summary>
        Package = 3,
        /// <summary>The engine cannot be opened or run.</summary>
        Backend = 4,
        /// <summary>The engine's library is not on this machine.</summary>
        Missing = 5,
        /// <summary>Understood, but not provided.</summary>
        Unsupported = 6,
        /// <summary>There is not enough memory.</summary>
        Memory = 7,
        /// <summary>A fault of the library.</summary>
        Internal = 8
    }

    /// <summary>An error a user can mend: the message says what was found, what was expected and what to do.</summary>
    public sealed class SegshipException : Exception
    {
        /// <summary>What kind of error it is.</summary>
        public ErrorKind Kind { get; }

        /// <summary>Make one.</summary>
        public SegshipException(ErrorKind kind, string message) : base(message) { Kind = kind; }
    }

    /// <summary>The order of the channels of an image.</summary>
    public enum ChannelOrder
    {
        /// <summary>Red, green, blue.</summary>
        Rgb = 0,
        /// <summary>Blue, green, red, as System.Drawing's 24bppRgb and OpenCV have it.</summary>
        Bgr = 1
    }

    /// <summary>The numbers of an image.</summary>
    public enum PixelType
    {
        /// <summary>Bytes.</summary>
        UInt8 = 0,
        /// <summary>16 bits, for networks that take all bands as they are stored.</summary>
        UInt16 = 1,
        /// <summary>float, for networks that take all bands as they are stored.</summary>
        Float32 = 2
    }

    /// <summary>An image in memory: rows from the top, the channels of a pixel beside one another. It copies nothing.</summary>
    public struct Image
    {
        /// <summary>An array of byte, ushort or float; null where the pixels lie at <see cref="Pointer"/>.</summary>
        public Array Pixels;
        /// <summary>The first pixel, which stays where it is during a call.</summary>
        public IntPtr Pointer;
        /// <summary>Size in pixels.</summary>
        public int Height, Width;
        /// <summary>1: grey; 3; 4: the last is alpha, and is dropped; or as many bands as the network takes.</summary>
        public int Channels;
        /// <summary>Bytes from one row to the next; 0: no gap.</summary>
        public long RowStride;
        /// <summary>The order of the channels.</summary>
        public ChannelOrder Order;
        /// <summary>The kind of the numbers.</summary>
        public PixelType Type;

        /// <summary>Bytes in an array: (height, width, channels).</summary>
        public Image(byte[] pixels, int height, int width, int channels = 3, ChannelOrder order = ChannelOrder.Rgb)
            : this(pixels, IntPtr.Zero, height, width, channels, order, PixelType.UInt8) { }

        /// <summary>Bands of 16 bits in an array: (height, width, bands).</summary>
        public Image(ushort[] bands, int height, int width, int channels)
            : this(bands, IntPtr.Zero, height, width, channels, ChannelOrder.Rgb, PixelType.UInt16) { }

        /// <summary>Bands of float in an array: (height, width, bands).</summary>
        public Image(float[] bands, int height, int width, int channels)
            : this(bands, IntPtr.Zero, height, width, channels, ChannelOrder.Rgb, PixelType.Float32) { }

        /// <summary>Bytes at an address, as Bitmap.LockBits, a Mat or a pinned span gives it.</summary>
        public Image(IntPtr pointer, int height, int width, int channels = 3, long rowStride = 0,
                     ChannelOrder order = ChannelOrder.Rgb, PixelType type = PixelType.UInt8)
            : this(null, pointer, height, width, channels, order, type) { RowStride = rowStride; }

        private Image(Array pixels, IntPtr pointer, int height, int width, int channels, ChannelOrder order, PixelType type)
        {
            Pixels = pixels; Pointer = pointer; Height = height; Width = width; Channels = channels;
            RowStride = 0; Order = order; Type = type;
        }
    }

    /// <summary>The label of each pixel, at the image's own size.</summary>
    public sealed class Mask
    {
        /// <summary>Size in pixels.</summary>
        public int Height { get; }
        /// <summary>Size in pixels.</summary>
        public int Width { get; }
        /// <summary>The labels, row by row; null where there are more than 256 classes.</summary>
        public byte[] Bytes { get; }
        /// <summary>The labels, row by row, where there are more than 256 classes; else null.</summary>
        public ushort[] Words { get; }

        /// <summary>A mask from labels that are bytes.</summary>
        public Mask(int height, int width, byte[] labels) { Height = height; Width = width; Bytes = labels; }

        /// <summary>A mask from labels of 16 bits.</summary>
        public Mask(int height, int width, ushort[] labels) { Height = height; Width = width; Words = labels; }

        /// <summary>The label of a pixel.</summary>
        public int this[int row, int column]
        {
            get
            {
                if (column < 0 || column >= Width) throw new IndexOutOfRangeException();
                return Bytes != null ? Bytes[row * Width + column] : Words[row * Width + column];
            }
        }

        internal Array Labels { get { return Bytes ?? (Array)Words; } }
    }

    /// <summary>The colour of a class.</summary>
    public struct Color
    {
        /// <summary>0-255.</summary>
        public byte Red, Green, Blue;
    }

    /// <summary>How a package is opened; what is left alone is chosen by the library.</summary>
    public sealed class Options
    {
        /// <summary>Threads of the engine; 0: its own choice.</summary>
        public int Threads;
        /// <summary>Images with more pixels are refused; 0: 100 million.</summary>
        public long MaxPixels;
        /// <summary>The engine's library or its folder; null: it is searched.</summary>
        public string Runtime;
        /// <summary>What the engine runs on; null: cpu.</summary>
        public string Device;
    }

    /// <summary>
    /// An opened package: it makes masks of images. Any number of threads may use one at the same time. Dispose it, as
    /// by <c>using</c>, to give its memory back at once; calls that are under way end as they would have.
    /// </summary>
    /// <example><code>
    /// using (var segmentor = Segmentor.Open("package"))
    /// {
    ///     Mask mask = segmentor.Mask(new Image(pixels, height, width));
    ///     Console.WriteLine(segmentor.Classes[mask[0, 0]]);
    /// }
    /// </code></example>
    public sealed class Segmentor : IDisposable
    {
        private const uint Version = 200; // of segship.h: 10000 * major + 100 * minor + patch

        private readonly Handle handle;
        private readonly int labelBytes, scoreChannels;

        private Segmentor(Handle opened)
        {
            handle = opened;
            IntPtr spec = Native.segship_segmentor_spec(handle);
            labelBytes = Native.segship_label_bytes(spec);
            scoreChannels = Native.segship_score_channels(spec);
            var names = new string[Native.segship_classes(spec)];
            var colors = new Color[names.Length];
            for (int label = 0; label < names.Length; label++)
            {
                names[label] = Text(Native.segship_class_name(spec, label));
                int color = Native.segship_class_color(spec, label);
                colors[label] = new Color { Red = (byte)(color >> 16), Green = (byte)(color >> 8), Blue = (byte)color };
            }
            Classes = new ReadOnlyCollection<string>(names);
            Colors = new ReadOnlyCollection<Color>(colors);
            Bands = Native.segship_bands(spec);
            Engine = Text(Native.segship_segmentor_engine(handle));
        }

        /// <summary>Name of each label.</summary>
        public IReadOnlyList<string> Classes { get; }

        /// <summary>Colour of each label.</summary>
        public IReadOnlyList<Color> Colors { get; }

        /// <summary>Number of bands where the network takes all of them as they are stored; 0: it takes photographs.</summary>
        public int Bands { get; }

        /// <summary>The engine that runs, with its version and where it was loaded from.</summary>
        public string Engine { get; }

        /// <summary>Open a package: the folder that <c>segship export</c> wrote.</summary>
        /// <exception cref="SegshipException">The package is damaged, or its engine cannot be opened here.</exception>
        public static Segmentor Open(string package, Options options = null)
        {
            if (package == null) throw new ArgumentNullException(nameof(package));
            IntPtr runtime = IntPtr.Zero, device = IntPtr.Zero;
            try
            {
                Check(Native.segship_require(Version, (uint)IntPtr.Size));
                Native.Options native;
                Native.segship_options_init(out native);
                if (options != null)
                {
                    native.Threads = options.Threads;
                    native.MaxPixels = options.MaxPixels;
                    native.Runtime = runtime = Allocate(options.Runtime);
                    native.Device = device = Allocate(options.Device);
                }
                Handle opened;
                Check(Native.segship_open(Encoding.UTF8.GetBytes(package + "\0"), ref native, out opened));
                return new Segmentor(opened);
            }
            catch (DllNotFoundException)
            {
                throw new SegshipException(ErrorKind.Missing,
                    "the library segship is not found: put the folder of libsegship.so into LD_LIBRARY_PATH " +
                    "(of segship.dll into PATH), or copy it beside the program");
            }
            finally
            {
                Marshal.FreeHGlobal(runtime);
                Marshal.FreeHGlobal(device);
            }
        }

        /// <summary>The label of each pixel of an image, at its own size.</summary>
        /// <exception cref="SegshipException">The image cannot be used.</exception>
        public Mask Mask(Image image)
        {
            int pixels = Count(image, 1);
            if (labelBytes == 1)
            {
                var bytes = new byte[pixels];
                MaskInto(image, bytes);
                return new Mask(image.Height, image.Width, bytes);
            }
            var words = new ushort[pixels];
            MaskInto(image, words);
            return new Mask(image.Height, image.Width, words);
        }

        /// <summary>Write the labels into an array or a part of one; of networks of at most 256 classes.</summary>
        public void MaskInto(Image image, Span<byte> labels)
        {
            using (var input = new Pinned(image))
                Check(Native.segship_mask(handle, ref input.Image, ref MemoryMarshal.GetReference(labels), (UIntPtr)labels.Length));
        }

        /// <summary>The same, of networks of more classes.</summary>
        public void MaskInto(Image image, Span<ushort> labels) { MaskInto(image, MemoryMarshal.AsBytes(labels)); }

        /// <summary>Write the labels into an array of yours.</summary>
        public void MaskInto(Image image, byte[] labels) { MaskInto(image, new Span<byte>(labels)); }

        /// <summary>Write the labels into an array of yours.</summary>
        public void MaskInto(Image image, ushort[] labels) { MaskInto(image, new Span<ushort>(labels)); }

        /// <summary>The probability of each class at each pixel, 0-1: (classes, height, width), row by row; one plane
        /// for a binary network with one output.</summary>
        public float[] Scores(Image image)
        {
            var scores = new float[Count(image, scoreChannels)];
            ScoresInto(image, scores);
            return scores;
        }

        /// <summary>Write the scores into an array or a part of one.</summary>
        public void ScoresInto(Image image, Span<float> scores)
        {
            Span<byte> room = MemoryMarshal.AsBytes(scores);
            using (var input = new Pinned(image))
                Check(Native.segship_scores(handle, ref input.Image, ref MemoryMarshal.GetReference(room), (UIntPtr)room.Length));
        }

        /// <summary>The mask's colours over its image: bytes (height, width, 3), red, green, blue.</summary>
        /// <param name="image">A photograph.</param>
        /// <param name="mask">Its mask.</param>
        /// <param name="opacity">0: the image alone; 1: the colours alone.</param>
        public byte[] Overlay(Image image, Mask mask, double opacity = 0.5)
        {
            if (mask == null) throw new ArgumentNullException(nameof(mask));
            var rgb = new byte[Count(image, 3)];
            using (var lease = new Lease(handle))
            using (var input = new Pinned(image))
            using (var labels = new Pinned(mask.Labels))
            using (var output = new Pinned(rgb))
                Check(Native.segship_overlay(Native.segship_segmentor_spec(handle), ref input.Image, labels.Address,
                                             labels.Bytes, opacity, output.Address, output.Bytes));
            return rgb;
        }

        /// <summary>Free the engine's memory; twice is once.</summary>
        public void Dispose() { handle.Dispose(); }

        private static int Count(Image image, int planes)
        {
            if (image.Height < 0 || image.Width < 0) return 0; // the library refuses it, in its words
            try { return checked(image.Height * image.Width * planes); }
            catch (OverflowException)
            {
                throw new SegshipException(ErrorKind.Input,
                    $"{planes} planes of {image.Height}x{image.Width} pixels do not fit into one array: cut the image into pieces");
            }
        }

        private static void Check(int status)
        {
            if (status != 0) throw new SegshipException((ErrorKind)status, Text(Native.segship_last_error()));
        }

        private static string Text(IntPtr text)
        {
            if (text == IntPtr.Zero) return "";
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0) length++;
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }

        private static IntPtr Allocate(string text)
        {
            if (text == null) return IntPtr.Zero;
            byte[] bytes = Encoding.UTF8.GetBytes(text + "\0");
            IntPtr copy = Marshal.AllocHGlobal(bytes.Length);
            Marshal.Copy(bytes, 0, copy, bytes.Length);
            return copy;
        }

        /// <summary>Keeps the segmentor open during a call that does not take its handle.</summary>
        private sealed class Lease : IDisposable
        {
            private readonly Handle handle;
            private readonly bool held;
            public Lease(Handle held) { handle = held; held.DangerousAddRef(ref this.held); }
            public void Dispose() { if (held) handle.DangerousRelease(); }
        }

        /// <summary>An array that the garbage collector leaves where it is during a call.</summary>
        private sealed class Pinned : IDisposable
        {
            private readonly GCHandle pin;
            public readonly IntPtr Address;
            public readonly UIntPtr Bytes;
            public Native.Image Image;

            public Pinned(Array array)
            {
                if (array == null) throw new ArgumentNullException(nameof(array));
                pin = GCHandle.Alloc(array, GCHandleType.Pinned);
                Address = pin.AddrOfPinnedObject();
                Bytes = (UIntPtr)(ulong)Buffer.ByteLength(array);
            }

            public Pinned(Image image)
            {
                if (image.Pixels != null)
                {
                    long row = image.RowStride != 0 ? image.RowStride : (long)image.Width * image.Channels * Size(image.Type);
                    if (image.Height > 0 && image.Width > 0 && Buffer.ByteLength(image.Pixels) < row * image.Height)
                        throw new SegshipException(ErrorKind.Input,
                            $"the image's array has {Buffer.ByteLength(image.Pixels)} bytes, {image.Height}x{image.Width} " +
                            $"pixels of {image.Channels} channels are {row * image.Height}");
                    pin = GCHandle.Alloc(image.Pixels, GCHandleType.Pinned);
                }
                Image = new Native.Image
                {
                    Data = image.Pixels != null ? pin.AddrOfPinnedObject() : image.Pointer,
                    RowStride = image.RowStride, Height = image.Height, Width = image.Width,
                    Channels = image.Channels, Order = (int)image.Order, Type = (int)image.Type
                };
            }

            private static int Size(PixelType type) { return type == PixelType.UInt8 ? 1 : type == PixelType.UInt16 ? 2 : 4; }

            public void Dispose() { if (pin.IsAllocated) pin.Free(); }
        }

        /// <summary>Counts the calls that are under way, so that it is freed after the last.</summary>
        internal sealed class Handle : SafeHandle
        {
            public Handle() : base(IntPtr.Zero, true) { }
            public override bool IsInvalid { get { return handle == IntPtr.Zero; } }
            protected override bool ReleaseHandle() { Native.segship_close(handle); return true; }
        }

        internal static class Native
        {
            private const string Library = "segship";
            private const CallingConvention C = CallingConvention.Cdecl;

            [StructLayout(LayoutKind.Sequential)]
            public struct Image
            {
                public IntPtr Data;
                public long RowStride;
                public int Height, Width, Channels, Order, Type;
            }

            [StructLayout(LayoutKind.Sequential)]
            public struct Options
            {
                public uint StructSize;
                public int Threads;
                public long MaxPixels;
                public IntPtr Runtime, Device;
            }

            [DllImport(Library, CallingConvention = C)] public static extern int segship_require(uint version, uint pointerBytes);
            [DllImport(Library, CallingConvention = C)] public static extern IntPtr segship_last_error();
            [DllImport(Library, CallingConvention = C)] public static extern void segship_options_init(out Options options);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_open(byte[] package, ref Options options, out Handle segmentor);
            [DllImport(Library, CallingConvention = C)] public static extern void segship_close(IntPtr segmentor);
            [DllImport(Library, CallingConvention = C)] public static extern IntPtr segship_segmentor_spec(Handle segmentor);
            [DllImport(Library, CallingConvention = C)] public static extern IntPtr segship_segmentor_engine(Handle segmentor);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_classes(IntPtr spec);
            [DllImport(Library, CallingConvention = C)] public static extern IntPtr segship_class_name(IntPtr spec, int label);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_class_color(IntPtr spec, int label);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_label_bytes(IntPtr spec);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_score_channels(IntPtr spec);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_bands(IntPtr spec);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_mask(Handle segmentor, ref Image image, ref byte mask, UIntPtr bytes);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_scores(Handle segmentor, ref Image image, ref byte scores, UIntPtr bytes);
            [DllImport(Library, CallingConvention = C)] public static extern int segship_overlay(IntPtr spec, ref Image image, IntPtr mask, UIntPtr maskBytes, double opacity, IntPtr rgb, UIntPtr bytes);
        }
    }
}
