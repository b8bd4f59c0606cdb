import { expect, test } from "bun:test";
import { judge } from "./rest-answer.ts";

const failed = (status: number | null, isUnsent = false) =>
  judge({ kind: "failed", message: "no", status, isUnsent });

test("S37: a rejected token, a path that is not served and a closed port change nothing", () => {
  for (const status of [401, 403]) {
    const message = `slurmrestd rejects the token (${status})`;
    expect(failed(status)).toEqual({ kind: "refused", message });
  }
  expect(failed(404)).toEqual({ kind: "refused", message: "no" });
  expect(failed(null, true)).toEqual({ kind: "refused", message: "no" });
  expect(failed(500)).toEqual({ kind: "failed", message: "no" });
  expect(failed(null)).toEqual({ kind: "failed", message: "no" });
});
