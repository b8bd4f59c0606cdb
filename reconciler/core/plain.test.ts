/** What `decide` and `fold` look at are values: nothing in them is a function, nor may be absent. */
import { expect, test } from "bun:test";
import type { Sight } from "./fleet.ts";
import type { FoldInput } from "./fold/everything.ts";

type Scalar = string | number | boolean | null | undefined;

/** `true` where a type holds a function, down to a depth; `never` where it is plain. */
type Functions<T, Depth extends 0[] = []> = Depth["length"] extends 8
  ? never
  : T extends Scalar
    ? never
    : T extends (...args: never) => unknown
      ? true
      : T extends ReadonlyMap<unknown, infer V>
        ? Functions<V, [...Depth, 0]>
        : T extends readonly (infer V)[]
          ? Functions<V, [...Depth, 0]>
          : { [K in keyof T]-?: Functions<T[K], [...Depth, 0]> }[keyof T];

type Optional<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T];

/** Does not compile while `T` is anything but `never`. */
const none = <T extends never>(found: T[] = []): number => found.length;

test("Sight and FoldInput hold no function, and Sight has no optional part", () => {
  expect(none<Functions<Sight>>()).toBe(0);
  expect(none<Functions<FoldInput>>()).toBe(0);
  expect(none<Optional<Sight> | Optional<FoldInput>>()).toBe(0);
  // @ts-expect-error a function anywhere in it is found
  expect(none<Functions<{ a: ReadonlyMap<string, { b: () => void }[]> }>>()).toBe(0);
  // @ts-expect-error so is an optional part
  expect(none<Optional<{ a?: number }>>()).toBe(0);
});
