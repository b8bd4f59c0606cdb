/**
 * How a family of codes is made: a table gives each code its parameters and its sentence, and the
 * closed union of the family is derived from it. What decides compares codes and never builds text.
 */

type Sentence = string | ((told: never) => string);
type Table = Readonly<Record<string, Sentence>>;

/** `{ code, …parameters }` of each sentence of the table. */
export type CodeOf<T extends Table> = {
  [C in keyof T & string]: T[C] extends (told: infer P) => string ? { code: C } & P : { code: C };
}[keyof T & string];

/** The sentence of a code of the table. */
export function sayFrom<T extends Table>(table: T, told: { code: keyof T & string }): string {
  const sentence: Sentence = table[told.code] as Sentence;
  return typeof sentence === "string" ? sentence : sentence(told as never);
}

/** `Date` only where a sentence is built. */
export const iso = (at: number): string => new Date(at).toISOString();
