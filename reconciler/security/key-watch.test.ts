import { describe, expect, test } from "bun:test";
import { KeyWatch } from "./key-watch.ts";

/** A watch on a clock of the test, with each look's answer in the test's hand. */
function open() {
  let mono = 1_000;
  const looks: PromiseWithResolvers<string | null>[] = [];
  const watch = new KeyWatch(
    () => {
      const look = Promise.withResolvers<string | null>();
      looks.push(look);
      return look.promise;
    },
    { monoMs: () => mono },
  );
  const answer = async (problem: string | null): Promise<void> => {
    looks.at(-1)?.resolve(problem);
    await Promise.resolve();
    await Promise.resolve();
  };
  return { watch, looks, answer, pass: (ms: number) => void (mono += ms) };
}

describe("KeyWatch.problem()", () => {
  test("is not known before the first look has ended, and looks once meanwhile", async () => {
    const { watch, looks, answer } = open();
    expect([watch.problem("/k"), watch.problem("/k")]).toEqual([undefined, undefined]);
    expect(looks).toHaveLength(1);
    await answer(null);
    expect(watch.problem("/k")).toBeNull();
  });

  test("notices a key that breaks, and one that is fixed", async () => {
    const { watch, answer, pass } = open();
    watch.problem("/k");
    await answer(null);
    for (const now of ["/k is gone", null, "/k is encrypted"]) {
      pass(2_000);
      watch.problem("/k");
      await answer(now);
      expect(watch.problem("/k")).toBe(now);
    }
  });

  test("does not believe what was so before it slept", async () => {
    const { watch, answer, pass } = open();
    watch.problem("/k");
    await answer(null);
    pass(3_600_000);
    expect(watch.problem("/k")).toBeUndefined();
    await answer("/k is gone");
    expect(watch.problem("/k")).toBe("/k is gone");
  });

  test("calls a file system that hangs a problem, and asks it no more than once", async () => {
    const { watch, looks, answer, pass } = open();
    watch.problem("/k");
    pass(29_000);
    expect(watch.problem("/k")).toBeUndefined();
    pass(2_000);
    const hung = "/k cannot be read: no answer for 30 s";
    expect(watch.problem("/k")).toBe(hung);
    pass(3_600_000);
    // The same words, as what changes is told again.
    expect(watch.problem("/k")).toBe(hung);
    expect(looks).toHaveLength(1);
    await answer(null);
    expect(watch.problem("/k")).toBeNull();
  });

  test("takes a look that throws for a key that cannot be read", async () => {
    const watch = new KeyWatch(() => Promise.reject(new Error("EIO")), { monoMs: () => 0 });
    watch.problem("/k");
    await Promise.resolve();
    await Promise.resolve();
    expect(watch.problem("/k")).toBe("/k cannot be read: EIO");
  });
});
