/** Which shared tokens are no secret. */
import { expect, test } from "bun:test";
import { weaknessOf } from "./weak-token.ts";

test.each(["changeme", "REPLACE_ME", "change-me", "your-auth-token", "my-secret-token", "token"])(
  "weaknessOf() knows the placeholder %s, and refuses it where others reach the port",
  (token) => {
    expect(weaknessOf(token, true)).toEqual({
      why: "it is a well-known placeholder",
      isRefused: true,
    });
    expect(weaknessOf(token, false)?.isRefused).toBe(false);
  },
);

test("weaknessOf() reports the guide's own placeholder, and lets its manifest start", () => {
  expect(weaknessOf("your-navarch-auth-token", true)).toMatchObject({ isRefused: false });
});

test.each([
  ["a1b2c3d4e5f6a7b", "it has 15 characters, expected at least 16"],
  ["a1b2c3d4e5f6a7b8", null],
  ["shared-secret-of-the-fleet", null],
  ["token-4711-4711-4711", null],
  ["nvt.Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmE", null],
])("weaknessOf() judges %s by its length", (token, why) => {
  expect(weaknessOf(token, true)?.why ?? null).toBe(why);
});
