/** V40, V41: what a worker's agent says of itself while it serves, is asked to stop, and ends. */
import { expect, test } from "bun:test";
import { WorkerDuty } from "./worker-duty.ts";

const open = (slots: number | null) => new WorkerDuty({ slots, ignored: [] });
const word = (claims: number, stop = false) => ({ pool: "default/t1", claims, stop });

test("V40: it reports its slots, and none where its file names none", () => {
  expect(open(4).report()).toEqual({ slots: 4, stop: "no", ignored: [] });
  expect(open(null).report()).toEqual({ slots: null, stop: "no", ignored: [] });
});

test("asked to stop it is busy while it has claims, and serves again when it is wanted again", () => {
  const duty = open(null);
  expect(duty.hear(word(1))).toBe(false);
  expect(duty.hear(word(1, true))).toBe(true);
  expect(duty.report().stop).toBe("busy");
  expect(duty.hear(word(1, true))).toBe(false);
  expect(duty.hear(word(0, true))).toBe(true);
  expect(duty.report().stop).toBe("stopped");
  expect(duty.hear(word(0))).toBe(true);
  expect(duty.report().stop).toBe("no");
  // An older control plane that takes over says nothing.
  expect([duty.hear(undefined), duty.mayEnd]).toEqual([false, false]);
});

test("V41: ending, it takes no claims and waits for those it has, whatever it is told", () => {
  const duty = open(null);
  duty.hear(word(1));
  duty.leave();
  expect(duty.report().stop).toBe("busy");
  duty.hear(word(1));
  expect(duty.mayEnd).toBe(false);
  duty.hear(word(0));
  expect([duty.report().stop, duty.mayEnd]).toEqual(["stopped", false]);
  // A claim that was placed before the control plane heard of the end.
  duty.hear(word(1));
  duty.hear(word(0));
  expect(duty.mayEnd).toBe(false);
  duty.hear(word(0));
  expect(duty.mayEnd).toBe(true);
});
