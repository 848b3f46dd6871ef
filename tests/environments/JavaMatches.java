import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** Matches of each pattern in each text as JSON, one line a pattern. Input: "T" and the texts, then "P" and one
 *  pattern a line, in hexadecimal UTF-16. */
public class JavaMatches {
    /** A text that allows so many reads: patterns that backtrack without end are given up. */
    private record Limited(String text, int[] left) implements CharSequence {
        public int length() { return text.length(); }
        public char charAt(int i) {
            if (--left[0] < 0) throw new IllegalStateException("slow");
            return text.charAt(i);
        }
        public CharSequence subSequence(int begin, int end) { return text.subSequence(begin, end); }
        public String toString() { return text; }
    }

    private static String decoded(String hex) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < hex.length(); i += 4) text.append((char) Integer.parseInt(hex.substring(i, i + 4), 16));
        return text.toString();
    }

    private static String matches(Pattern pattern, String[] texts) {
        StringBuilder out = new StringBuilder("[");
        for (String hex : texts) {
            out.append(out.length() > 1 ? ",[" : "[");
            Matcher matcher = pattern.matcher(new Limited(decoded(hex), new int[] {100_000}));
            for (int n = 0; matcher.find(); n++) {
                out.append(n > 0 ? ",[" : "[");
                for (int g = 0; g <= matcher.groupCount(); g++)
                    out.append(g > 0 ? "," : "").append(matcher.start(g)).append(',').append(matcher.end(g));
                out.append(']');
            }
            out.append(']');
        }
        return out.append(']').toString();
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        String[] texts = in.readLine().substring(1).split(",", -1);
        for (String line; (line = in.readLine()) != null;) {
            try {
                System.out.println(matches(Pattern.compile(decoded(line.substring(1))), texts));
            } catch (PatternSyntaxException e) {
                System.out.println("null");
            } catch (RuntimeException | StackOverflowError e) {
                System.out.println("\"slow\"");  // or a class that Java takes and cannot use
            }
        }
    }
}
