/** JSON Pointer (RFC 6901). Pure. */

/** The value at the pointer, or where the document has no such member. */
export function pointAt(document: unknown, pointer: string): { value: unknown } | { at: string } {
  let value = document;
  let at = "";
  for (const escaped of pointer === "" ? [] : pointer.slice(1).split("/")) {
    at += `/${escaped}`;
    const key = escaped.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return { at };
    value = (value as Record<string, unknown>)[key];
  }
  return { value };
}
