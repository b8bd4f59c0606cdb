/** The comparisons of templates, `eq` to `ge`, as Go's text/template has them. */
import { TemplateFault } from "./template.ts";
import { typeOf, type Value } from "./value.ts";

/** Throws where Go does: on values of two types, and on two lists or maps. */
export function isEqual(a: Value, b: Value, at: number): boolean {
  if (a.kind === "nil" || b.kind === "nil") return a.kind === b.kind;
  if (a.kind === "text" && b.kind === "text") return a.raw === b.raw;
  if (a.kind === "plain" && b.kind === "plain" && typeof a.value === typeof b.value) {
    return a.value === b.value;
  }
  throw new TemplateFault(`cannot compare ${typeOf(a)} and ${typeOf(b)}`, at);
}

export function isLess(a: Value, b: Value, at: number): boolean {
  if (a.kind === "text" && b.kind === "text") {
    return Buffer.compare(Buffer.from(a.raw), Buffer.from(b.raw)) < 0;
  }
  const isNumber = (value: Value) => value.kind === "plain" && typeof value.value !== "boolean";
  if (a.kind === "plain" && b.kind === "plain" && isNumber(a) && isNumber(b)) {
    if (typeof a.value === typeof b.value) return a.value < b.value;
  }
  throw new TemplateFault(`cannot order ${typeOf(a)} and ${typeOf(b)}`, at);
}
