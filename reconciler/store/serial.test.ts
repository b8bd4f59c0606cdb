import { expect, test } from "bun:test";
import { serial } from "./serial.ts";

test("serial() begins one work when the one before has ended, well or not", async () => {
  const queue = serial();
  const said: string[] = [];
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const works = gates.map(({ promise }, i) =>
    queue(async () => {
      said.push(`begin ${i}`);
      await promise;
      said.push(`end ${i}`);
      if (i === 1) throw new Error("refused");
      return i;
    }),
  );
  const done = Promise.allSettled(works);
  // The later ones could end first, had they begun.
  for (const { resolve } of gates.toReversed()) {
    resolve();
    await Bun.sleep(0);
  }
  const states = (await done).map((one) => (one.status === "fulfilled" ? one.value : "failed"));
  expect(states).toEqual([0, "failed", 2]);
  expect(said).toEqual(["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]);
});
