// Golden VECTORS: one golden package, in every form that an image has.
using System;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using Segship;

static class Golden
{
    const int Height = 61, Width = 83;

    static int Main(string[] args)
    {
        string vectors = args[0], package = Path.Combine(vectors, "packages", "whole");
        byte[] pixels = Tail(Path.Combine(vectors, "images", "61x83x3_uint8.ppm"), Height * Width * 3);
        byte[] labels = Tail(Path.Combine(vectors, "packages", "whole.mask.pgm"), Height * Width);
        Segmentor kept;
        using (var segmentor = kept = Segmentor.Open(package, new Options { Threads = 1 }))
        {
            Expect(segmentor.Classes.Count == 19 && segmentor.Classes[3] == "class 3", "classes");
            Expect(segmentor.Colors[0].Red == 128 && segmentor.Colors[0].Green == 0, "colours");
            byte[] turned = pixels.Select((_, place) => pixels[place - place % 3 + 2 - place % 3]).ToArray();
            byte[] alpha = Enumerable.Range(0, Height * Width * 4)
                .Select(place => place % 4 == 3 ? (byte)0 : pixels[place / 4 * 3 + place % 4]).ToArray();
            GCHandle pin = GCHandle.Alloc(pixels, GCHandleType.Pinned);
            var forms = new[]
            {
                new Image(pixels, Height, Width),
                new Image(turned, Height, Width, 3, ChannelOrder.Bgr),
                new Image(alpha, Height, Width, 4),
                new Image(pin.AddrOfPinnedObject(), Height, Width, 3, Width * 3)
            };
            Parallel.ForEach(forms.Concat(forms), form => Expect(segmentor.Mask(form).Bytes.SequenceEqual(labels), "mask"));
            pin.Free();
            Expect(segmentor.Scores(forms[0]).Length == 19 * Height * Width, "scores");
            Expect(segmentor.Overlay(forms[0], new Mask(Height, Width, labels), 0).SequenceEqual(pixels), "overlay");
            var room = new byte[7 + labels.Length];
            segmentor.MaskInto(forms[0], room.AsSpan(7));
            Expect(room.Skip(7).SequenceEqual(labels) && room.Take(7).All(one => one == 0), "a part of an array");
            var scores = new float[3 + 19 * Height * Width];
            segmentor.ScoresInto(forms[0], scores.AsSpan(3));
            Expect(scores[0] == 0 && scores.Skip(3).SequenceEqual(segmentor.Scores(forms[0])), "scores in a part");
            Fails(ErrorKind.Input, () => segmentor.MaskInto(forms[0], new byte[3]));
            Fails(ErrorKind.Input, () => segmentor.MaskInto(forms[0], Span<byte>.Empty));
            Fails(ErrorKind.Input, () => segmentor.Mask(new Image(new byte[26], 3, 3)));
            Fails(ErrorKind.Input, () => segmentor.Mask(new Image(new byte[27], -3, 3)));
            Fails(ErrorKind.Input, () => segmentor.Mask(new Image(IntPtr.Zero, 3, 3)));
            Fails(ErrorKind.Input, () => segmentor.Overlay(forms[0], new Mask(1, 1, new byte[1])));
        }
        kept.Dispose();
        try { kept.Mask(new Image(pixels, Height, Width)); Expect(false, "closed"); }
        catch (ObjectDisposedException) { }
        Fails(ErrorKind.Package, () => Segmentor.Open("nowhere"));
        return 0;
    }

    static byte[] Tail(string path, int count)
    {
        byte[] data = File.ReadAllBytes(path);
        return data.Skip(data.Length - count).ToArray();
    }

    static void Fails(ErrorKind kind, Action action)
    {
        try { action(); }
        catch (SegshipException error)
        {
            Expect(error.Kind == kind && error.Message.Length > 10, error.Kind + ": " + error.Message);
            return;
        }
        Expect(false, "no error: " + kind);
    }

    static void Expect(bool met, string what)
    {
        if (!met) throw new Exception(what);
    }
}
