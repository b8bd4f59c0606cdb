/**
 * `printf`, `print` and `println` as Go's package fmt writes them: verbs `v s d q t x X f e g`,
 * flags, width and precision. A verb that does not fit its value is written as Go reports it.
 */
import { TemplateFault } from "./template.ts";
import {
  bare,
  entryOf,
  format,
  formatFloat,
  goExponent,
  outside,
  sortedKeys,
  typeOf,
  type Value,
} from "./value.ts";

type Form = "raw" | "shown";
type Directive = { flags: string; width: number; precision: number | null; verb: string };

const DIRECTIVE = /%([-+# 0]*)(\d*)(?:\.(\d*))?([\s\S]?)/gu;
const VERBS = "vsdqtxXfeg";
/** A width of a million spaces is a typing error. */
const WIDTH_MAX = 1_000;

/** `form` of text values that `%s` and `%v` write. */
export function printf(pattern: string, values: readonly Value[], form: Form, at: number): string {
  let next = 0;
  const written = pattern.replace(DIRECTIVE, (all, flags, width, precision, verb: string) => {
    if (verb === "") return "%!(NOVERB)";
    if (verb === "%") return "%";
    const directive = readDirective(all, flags, width, precision, verb, at);
    const value = values[next];
    next += 1;
    return value === undefined ? `%!${verb}(MISSING)` : formatVerb(value, directive, form);
  });
  const extra = values.slice(next);
  if (extra.length === 0) return written;
  return `${written}%!(EXTRA ${extra.map((value) => typed(value)).join(", ")})`;
}

function readDirective(
  all: string,
  flags: string,
  width: string,
  precision: string | undefined,
  verb: string,
  at: number,
): Directive {
  const wide = { width: Number(width), precision: precision === undefined ? null : +precision };
  const isPlain = verb !== "v" || !/[+#]/.test(flags);
  const isZeroed = flags.includes("0") && "sqtv".includes(verb);
  if (!VERBS.includes(verb) || !isPlain || isZeroed) {
    const hint = `verbs: %${[...VERBS].join(" %")}`;
    throw new TemplateFault(`printf cannot do ${all}`, at, hint);
  }
  if (wide.width > WIDTH_MAX || (wide.precision ?? 0) > WIDTH_MAX) {
    throw new TemplateFault(`printf cannot do ${all}`, at, `a width is at most ${WIDTH_MAX}`);
  }
  return { flags, verb, ...wide };
}

/** Spaces between values where neither is text. */
export function print(values: readonly Value[], form: Form): string {
  return values.reduce((line, value, index) => {
    const before = values[index - 1];
    const isApart = before !== undefined && before.kind !== "text" && value.kind !== "text";
    return `${line}${isApart ? " " : ""}${format(value, form)}`;
  }, "");
}

export function println(values: readonly Value[], form: Form): string {
  return `${values.map((value) => format(value, form)).join(" ")}\n`;
}

const typed = (value: Value): string =>
  value.kind === "nil" ? "<nil>" : `${typeOf(value)}=${format(value)}`;

/** Go writes the value with the width that the verb has. */
function misfit(value: Value, directive: Directive): string {
  const { verb } = directive;
  if (value.kind === "nil") return `%!${verb}(<nil>)`;
  const written = formatVerb(value, { ...directive, verb: "v" }, "raw");
  return `%!${verb}(${typeOf(value)}=${written})`;
}

function formatVerb(value: Value, directive: Directive, form: Form): string {
  switch (value.kind) {
    case "text":
      return formatText(form === "shown" ? value.shown : value.raw, value, directive);
    case "plain":
      return formatPlain(value, directive);
    case "list":
      return `[${value.items.map((item) => nested(item, directive)).join(" ")}]`;
    case "map": {
      const { entries } = value;
      const shown = sortedKeys(entries).map((key) => {
        const under = entryOf(entries, key, "", bare);
        return `${nested(key, directive)}:${formatNested(under, directive)}`;
      });
      return `map[${shown.join(" ")}]`;
    }
    case "nil":
      return directive.verb === "v" ? pad("<nil>", directive) : misfit(value, directive);
  }
}

const nested = (item: unknown, directive: Directive): string =>
  formatNested(outside(item, "", bare), directive);

function formatNested(value: Value, directive: Directive): string {
  return value.kind === "nil" ? "<nil>" : formatVerb(value, directive, "raw");
}

function formatText(shown: string, value: Value, directive: Directive): string {
  const { verb, precision } = directive;
  const cut = precision === null ? shown : [...shown].slice(0, precision).join("");
  switch (verb) {
    case "v":
    case "s":
      return pad(cut, directive);
    case "q":
      return pad(quoteGo(cut), directive);
    case "x":
    case "X": {
      const bytes = Buffer.from(shown).subarray(0, precision ?? undefined);
      const hex = bytes.toString("hex");
      return pad(verb === "x" ? hex : hex.toUpperCase(), directive);
    }
    default:
      return misfit(value, directive);
  }
}

function formatPlain(value: Value & { kind: "plain" }, directive: Directive): string {
  const { verb } = directive;
  if (typeof value.value === "boolean") {
    return "vt".includes(verb) ? pad(String(value.value), directive) : misfit(value, directive);
  }
  if (typeof value.value === "bigint") {
    if (!"vdxXq".includes(verb)) return misfit(value, directive);
    return formatInteger(value.value, directive);
  }
  return "vgfe".includes(verb) ? formatReal(value.value, directive) : misfit(value, directive);
}

function formatInteger(value: bigint, directive: Directive): string {
  const { verb, flags, precision } = directive;
  if (verb === "q") {
    const isRune = value >= 0n && value <= 0x10ffffn;
    const rune = isRune ? String.fromCodePoint(Number(value)) : "\ufffd";
    const quoted = rune === "'" ? "\\'" : rune === '"' ? rune : quoteGo(rune).slice(1, -1);
    return pad(`'${quoted}'`, directive);
  }
  const isHex = verb === "x" || verb === "X";
  const size = value < 0n ? -value : value;
  const digits = size.toString(isHex ? 16 : 10).padStart(precision ?? 0, "0");
  const shown = verb === "X" ? digits.toUpperCase() : digits;
  const prefix = isHex && flags.includes("#") ? `0${verb}` : "";
  const own = precision === null ? flags : flags.replaceAll("0", "");
  return number(value < 0n, `${prefix}${shown}`, { ...directive, flags: own });
}

function formatReal(value: number, directive: Directive): string {
  const { verb, precision } = directive;
  const size = Math.abs(value);
  const digitsMax = Math.min(precision ?? 6, 100);
  if (verb === "f") return number(value < 0, size.toFixed(digitsMax), directive);
  if (verb === "e") {
    const [digits = "", power = "0"] = size.toExponential(digitsMax).split("e");
    return number(value < 0, `${digits}e${goExponent(Number(power))}`, directive);
  }
  if (precision !== null) return misfit({ kind: "plain", value }, directive);
  return number(value < 0, formatFloat(size), directive);
}

/** With its sign, and zeros or spaces to the width. */
function number(isNegative: boolean, digits: string, directive: Directive): string {
  const { flags, width } = directive;
  const sign = isNegative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  if (!flags.includes("0") || flags.includes("-")) return pad(`${sign}${digits}`, directive);
  return `${sign}${digits.padStart(width - sign.length, "0")}`;
}

/** Counts code points. */
function pad(shown: string, { flags, width }: Directive): string {
  const isZeroed = flags.includes("0") && !flags.includes("-");
  const fill = (isZeroed ? "0" : " ").repeat(Math.max(0, width - [...shown].length));
  return flags.includes("-") ? `${shown}${fill}` : `${fill}${shown}`;
}

const ESCAPES = new Map([..."\x07\b\f\n\r\t\v"].map((char, at) => [char, `\\${"abfnrtv"[at]}`]));

/** Go's strconv.Quote. */
function quoteGo(shown: string): string {
  const quoted = [...shown].map((char) => {
    if (char === '"' || char === "\\") return `\\${char}`;
    const escape = ESCAPES.get(char);
    if (escape !== undefined) return escape;
    if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char)) return char;
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
    if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
    return `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `"${quoted.join("")}"`;
}
