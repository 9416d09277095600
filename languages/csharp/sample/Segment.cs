// segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too.
using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Segship;

static class Program
{
    const long MaxPixels = 100000000;
    static readonly int[] DiskFull = { 112, 39 }; // .NET's and Mono's

    static int Main(string[] args)
    {
        if (args.Length != 3 && args.Length != 4)
        {
            Console.Error.WriteLine("usage: csharp PACKAGE IMAGE.ppm MASK.pgm [SCORES]");
            return 2;
        }
        try
        {
            Image image = ReadPpm(args[1]);
            using (var segmentor = Segmentor.Open(args[0]))
            {
                WritePgm(args[2], segmentor.Mask(image));
                if (args.Length == 4) WriteScores(args[3], segmentor.Scores(image));
            }
            return 0;
        }
        catch (SegshipException error)
        {
            Console.Error.WriteLine("error: " + error.Message);
            return 2;
        }
    }

    static Image ReadPpm(string path)
    {
        try
        {
            using (var file = new FileStream(path, FileMode.Open, FileAccess.Read))
            {
                if (file.Length == 0) throw Refused(path + " is empty: expected a binary PPM (P6) of 8 bits");
                bool known = file.ReadByte() == 'P' && file.ReadByte() == '6';
                long width = known ? Number(file) : -1, height = Number(file), most = Number(file);
                if (width < 1 || height < 1 || most != 255)
                    throw Refused(path + " is not an image of a known format: expected a binary PPM (P6) of 8 bits");
                if (width > MaxPixels / height)
                    throw Huge(path, width, height);
                var pixels = new byte[width * height * 3];
                for (int done = 0, some; done < pixels.Length; done += some)
                    if ((some = file.Read(pixels, done, pixels.Length - done)) == 0)
                        throw Refused(path + " cannot be decoded: the PPM file is cut off or damaged; save or copy it again");
                return new Image(pixels, (int)height, (int)width);
            }
        }
        catch (Exception error) when (IsOfFiles(error))
        {
            throw Refused($"cannot read {path}: {Reason(path, error)}");
        }
    }

    /// <summary>In millions, where these tell the image from the limit.</summary>
    static SegshipException Huge(string path, long width, long height)
    {
        double pixels = (double)width * height;
        bool millions = pixels > 100.5e6;
        string found = millions ? Math.Round(pixels / 1e6).ToString("F0") + " million"
                                : pixels.ToString("#,0", CultureInfo.InvariantCulture);
        return Refused($"{path} is too large: {width}x{height} pixels are {found}, the limit is " +
                       $"{(millions ? "100 million" : "100,000,000")}; shrink it or raise the limit");
    }

    /// <summary>The next number of a header and the byte behind it; -1: there is none.</summary>
    static long Number(Stream file)
    {
        int next = file.ReadByte();
        while (next == ' ' || next == '\t' || next == '\r' || next == '\n' || next == '#')
        {
            if (next == '#') while (next != '\n' && next != -1) next = file.ReadByte();
            else next = file.ReadByte();
        }
        long number = next >= '0' && next <= '9' ? 0 : -1;
        for (; next >= '0' && next <= '9' && number < 1000000000; next = file.ReadByte()) number = number * 10 + next - '0';
        return next == ' ' || next == '\t' || next == '\r' || next == '\n' ? number : -1;
    }

    static void WritePgm(string path, Mask mask)
    {
        byte[] head = Encoding.ASCII.GetBytes($"P5\n{mask.Width} {mask.Height}\n{(mask.Bytes != null ? 255 : 65535)}\n");
        byte[] labels = mask.Bytes;
        if (labels == null)
        {
            labels = new byte[mask.Words.Length * 2];
            for (int pixel = 0; pixel < mask.Words.Length; pixel++)
            {
                labels[2 * pixel] = (byte)(mask.Words[pixel] >> 8); // the format's order of bytes
                labels[2 * pixel + 1] = (byte)mask.Words[pixel];
            }
        }
        Write(path, head, labels);
    }

    static void WriteScores(string path, float[] scores)
    {
        var bytes = new byte[Buffer.ByteLength(scores)];
        Buffer.BlockCopy(scores, 0, bytes, 0, bytes.Length);
        Write(path, new byte[0], bytes);
    }

    static void Write(string path, byte[] head, byte[] rest)
    {
        try
        {
            using (FileStream file = File.Create(path))
            {
                file.Write(head, 0, head.Length);
                file.Write(rest, 0, rest.Length);
            }
        }
        catch (Exception error) when (IsOfFiles(error))
        {
            throw Refused($"cannot write {path}: {Reason(path, error)}");
        }
    }

    static bool IsOfFiles(Exception error)
    {
        return error is IOException || error is UnauthorizedAccessException || error is ArgumentException;
    }

    static string Reason(string path, Exception error)
    {
        if (Directory.Exists(path)) return "Is a directory";
        if (path != "" && File.Exists(Path.GetDirectoryName(path))) return "Not a directory";
        if (error is PathTooLongException) return "File name too long";
        if (error is UnauthorizedAccessException) return "Permission denied";
        if (DiskFull.Contains(error.HResult & 0xffff)) return "No space left on device";
        bool missing = error is FileNotFoundException || error is DirectoryNotFoundException || error is ArgumentException;
        return missing ? "No such file or directory" : error.Message;
    }

    static SegshipException Refused(string message) { return new SegshipException(ErrorKind.Input, message); }
}
