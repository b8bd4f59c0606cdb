import { expect, test } from "bun:test";
import { heldOf } from "../../../test/world/part.ts";
import { ruleKeyOf } from "./rule-key.ts";

test("ruleKeyOf() names the version, and the policy where an older record has none", () => {
  expect(ruleKeyOf(heldOf().judgement)).toBe("r@v1");
  expect(ruleKeyOf(heldOf({ version: null }).judgement)).toBe("r@hash");
  expect(ruleKeyOf(heldOf({ version: undefined }).judgement)).toBe("r@hash");
});
