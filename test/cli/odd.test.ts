/** Odd words, and servers that answer what no control plane would: no crash, no wait, no lie. */
import { expect, test } from "bun:test";
import { navarch } from "./spawn.ts";
import { openStub } from "./stub.ts";

test("what a server says brings no control characters to the terminal", async () => {
  const strange = openStub({ token: null });
  const red = "\u001b[31mred\u0007";
  const all = { id: red, token: red, role: red, pool: red, uses: 1, expires_at: red };
  strange.broken = { status: 200, body: JSON.stringify(all) };
  const lines = await Promise.all(
    [
      ["token", "create", "--role", "viewer"],
      ["token", "revoke", "x"],
      ["token", "revoke", "x", "-o", "name"],
      ["join-token", "create", "--pool", "p"],
      ["join-token", "revoke", "x"],
    ].map((words) => navarch([...words, "-s", strange.url])),
  );
  for (const { code, out, err } of lines) {
    expect(code).toBe(0);
    expect(`${out}${err}`).toContain("red");
    expect(`${out}${err}`).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  }
  await strange.close();
});
