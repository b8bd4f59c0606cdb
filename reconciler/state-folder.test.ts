/** Where the control plane keeps its state, as the programs that it starts elsewhere see it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { stateFolder } from "./server/main.ts";

test("stateFolder() is absolute, however it was given", () => {
  expect(stateFolder("state")).toBe(join(process.cwd(), "state"));
  expect(stateFolder("./a/../b/")).toBe(join(process.cwd(), "b"));
  expect(stateFolder("/var/lib/x")).toBe("/var/lib/x");
  expect(stateFolder(undefined)).toStartWith("/");
});
