/** The formula renderer, fetched when the first answer with a formula is shown. */
import { createMathPlugin } from "@streamdown/math";
import "katex/dist/katex.min.css";

export const math = createMathPlugin({ errorColor: "var(--muted-foreground)" });
