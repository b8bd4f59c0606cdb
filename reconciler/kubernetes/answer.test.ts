import { readRetryAfter } from "../core/reply.ts";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { judgeAnswer, readStatus, readWarnings } from "./answer.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const judge = (status: number, body: unknown, retryAfter: string | null = null) =>
  judgeAnswer({ status, retryAfter }, body, NOW);
const failure = (code: number, reason: string, more: Record<string, unknown> = {}) => ({
  kind: "Status",
  status: "Failure",
  code,
  reason,
  message: "no",
  ...more,
});

describe("judgeAnswer()", () => {
  test("gives the body of a success", () => {
    expect(judge(201, { kind: "Node" })).toEqual({
      kind: "ok",
      status: 201,
      body: { kind: "Node" },
    });
    const done = { kind: "Status", status: "Success" };
    expect(judge(200, done)).toEqual({ kind: "ok", status: 200, body: done });
    expect(judge(200, null)).toMatchObject({ kind: "ok" });
  });

  test.each([
    [400, "BadRequest"],
    [401, "Unauthorized"],
    [403, "Forbidden"],
    [404, "NotFound"],
    [409, "Conflict"],
    [422, "Invalid"],
    [429, "TooManyRequests"],
    [500, "InternalError"],
    [503, "ServiceUnavailable"],
  ])("calls %d %s refused", (code, reason) => {
    expect(judge(code, failure(code, reason))).toMatchObject({
      kind: "refused",
      status: code,
      reason,
      message: "no",
    });
  });

  test.each<[number, unknown]>([
    [200, undefined],
    [200, failure(500, "InternalError")],
    [408, failure(408, "RequestTimeout")],
    [500, failure(500, "", { message: "etcdserver: request timed out" })],
    [500, failure(500, "ServerTimeout")],
    [500, undefined],
    [502, "bad gateway"],
    [503, null],
    [504, failure(504, "Timeout")],
    [504, undefined],
  ])("calls %d with %j lost", (status, body) => {
    expect(judge(status, body)).toMatchObject({ kind: "lost" });
  });

  test("knows the 500 of a pod with two budgets for a refusal", () => {
    const message = "This pod has more than one PodDisruptionBudget, which is not supported.";
    expect(judge(500, failure(500, "", { message }))).toMatchObject({
      kind: "refused",
      status: 500,
    });
  });

  test("tells the budget by its cause", () => {
    const causes = [{ reason: "DisruptionBudget", message: "needs 2 healthy pods and has 2" }];
    const answer = judge(429, failure(429, "TooManyRequests", { details: { causes } }));
    expect(answer).toMatchObject({
      causes: [
        { reason: "DisruptionBudget", message: "needs 2 healthy pods and has 2", field: "" },
      ],
      retryAfterMs: null,
    });
  });

  test("reads a 4xx that is no Status, such as a proxy's page", () => {
    expect(judge(403, undefined)).toMatchObject({ kind: "refused", status: 403, reason: "" });
  });

  test("prefers the header's Retry-After over the body's", () => {
    const body = failure(429, "TooManyRequests", { details: { retryAfterSeconds: 10 } });
    expect(judge(429, body)).toMatchObject({ retryAfterMs: 10_000 });
    expect(judge(429, body, "2")).toMatchObject({ retryAfterMs: 2_000 });
  });

  test("never says ok or refused of a server error without a reason, whatever the body", () => {
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 599 }), fc.jsonValue(), (status, body) => {
        expect(judge(status, body).kind).toBe("lost");
      }),
    );
  });
});

describe("readRetryAfter()", () => {
  test.each<[string | null, number | null]>([
    [null, null],
    ["0", 0],
    [" 7 ", 7_000],
    ["Sat, 21 Nov 2026 12:00:30 GMT", 30_000],
    ["Sat, 21 Nov 2026 11:00:00 GMT", 0],
    ["soon", null],
    ["-1", null],
    ["1.5", null],
    ["99999999999999999999", null],
  ])("reads %j", (header, ms) => {
    expect<number | null>(readRetryAfter(header, NOW)).toBe(ms);
  });
});

describe("readStatus()", () => {
  test("is null for what is no failure", () => {
    for (const body of [null, 1, "x", [], {}, { kind: "Status", status: "Success" }]) {
      expect(readStatus(body)).toBeNull();
    }
  });

  test("bounds causes and messages", () => {
    const causes = Array.from({ length: 1_000 }, () => ({
      reason: "x",
      message: "y".repeat(9_999),
    }));
    const status = readStatus(failure(422, "Invalid", { details: { causes } }));
    expect(status?.causes).toHaveLength(32);
    expect(status?.causes[0]?.message.length).toBe(2_000);
  });
});

test("readWarnings() gives the texts of a Warning header", () => {
  const header = '299 - "unknown field \\"spec.x\\"", 299 kube "old, and deprecated"';
  expect(readWarnings(header)).toEqual(['unknown field "spec.x"', "old, and deprecated"]);
  expect([readWarnings(null), readWarnings("110 anything")]).toEqual([[], []]);
});
