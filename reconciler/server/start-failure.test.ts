import { expect, test } from "bun:test";
import { explainStart, StartError, stepOf, failureFields, UsageError } from "./start-failure.ts";

function refused(code: string, more: Record<string, unknown> = {}, message = `${code}: what`) {
  return Object.assign(new Error(message), { code, ...more });
}

const NAMED = [["--state", "/s"] as const];

test.each([
  [refused("EADDRINUSE", { syscall: "listen" }), StartError, "x: the address is in use"],
  [refused("EINVAL", { syscall: "listen" }), StartError, "x: no such host is known"],
  [refused("ENOENT", { path: "/s" }), UsageError, "--state /s: no such file or folder"],
  [refused("ENOENT", { path: "/other" }), StartError, "x: /other: no such file or folder"],
  [refused("EEXIST", { path: "/s", syscall: "mkdir" }), UsageError, "--state /s: is a file"],
  [refused("EACCES", { path: "/s", syscall: "mkdir" }), StartError, "cannot be made: permission"],
  [refused("ECONNREFUSED", { path: "http://u:p@h/v2" }), StartError, "x: connection refused"],
  [refused("SQLITE_NOTADB"), StartError, "x: what"],
  [refused("EODD", {}, "EODD: one\ntwo"), StartError, "x: one"],
  [
    refused("", {}, 'ConnectionFailed("Unable to open connection to local database /d: 14")'),
    StartError,
    "x: cannot be opened as a database",
  ],
])("explainStart() makes one line (%#)", (error, kind, text) => {
  const told = explainStart("x", error, NAMED);
  expect(told).toBeInstanceOf(kind);
  expect(String(told)).toContain(text);
  expect(String(told)).not.toContain("u:p");
  expect(failureFields(told)).not.toHaveProperty("stack", expect.stringContaining("two"));
});

test.each([
  new TypeError("undefined is not an object"),
  refused("ERR_INVALID_ARG_TYPE"),
  refused("SQLITE_CONSTRAINT_UNIQUE"),
  refused("SQLITE_ERROR", {}, "SQLITE_ERROR: no such column"),
])("failureFields() keeps the stack of a bug (%#)", async (error) => {
  const step = stepOf("x", () => {
    throw error;
  });
  expect(await step.catch((thrown: unknown) => thrown)).toBe(error);
  expect(failureFields(error).stack).toContain("start-failure.test.ts");
});

test("failureFields() has no stack for what the world refused, wherever it was thrown", () => {
  expect(failureFields(refused("ENOSPC"))).toEqual({ error: "start: no space left on the disk" });
});
