/**
 * The end of every `switch` on a tag: a member without a case fails to compile, and a foreign value
 * at run time is a bug.
 */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
