import { expect, test } from "bun:test";
import { lookWith, formatConditions } from "../../test/fixture/nvml/probe-round.ts";
import { persistenceProbe } from "./persistence.ts";

test.each([
  [{ persistence: true }, [], "ok"],
  [{ persistence: false }, ["host/persistence info node"], "finding"],
  // A driver that does not tell, and a GPU that cannot, are no reason to say anything.
  [{ persistence: null }, [], "ok"],
  [{ persistence: false, rc: 15 }, [], "ok"],
])("persistenceProbe judges %j of one of two GPUs", (change, said, outcome) => {
  const out = lookWith(persistenceProbe, change);
  expect(formatConditions(out.conditions)).toEqual(said);
  expect(out.outcome).toBe(outcome as typeof out.outcome);
});
