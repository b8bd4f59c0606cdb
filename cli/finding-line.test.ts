import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseFindingLine } from "./finding-line.ts";

function read(value: unknown): object {
  const answer = parseFindingLine(JSON.stringify(value), 7);
  if (!answer.ok) throw new Error(answer.message);
  return answer.finding;
}

function refusal(text: string): string {
  const answer = parseFindingLine(text, 1);
  return answer.ok ? "accepted" : answer.message;
}

describe("parseFindingLine()", () => {
  test("fills in what a finding leaves out", () => {
    expect(read({ kind: "xid", code: 79, gpu_index: 3 })).toMatchObject({
      kind: "xid",
      code: 79,
      gpu_index: 3,
      at: "2000-01-01T00:00:07.000Z",
      boot_id: "test",
      foreign: false,
    });
  });

  test("takes a finding as agents spool it and as get -o json shows it", () => {
    expect(read({ seq: 1, finding: { kind: "lost" } })).toMatchObject({ kind: "lost" });
    const timestamp = "2026-03-01T12:00:00.000Z";
    expect(read({ kind: "ecc", timestamp })).toMatchObject({ at: timestamp });
  });

  test.each([
    [{ event_type: "xid", metrics: { xid_code: "79" }, gpu_index: -1 }, "xid", 79],
    [{ event_type: "HEALTH_EVENT_TYPE_ECC_DBE", gpu_index: 2 }, "ecc", null],
    [{ eventType: "row_remap", gpuIndex: 0, gpuUuid: "GPU-1" }, "remap", null],
  ])("takes the event %j", (event, kind, code) => {
    expect(read(event)).toMatchObject({ kind, code });
  });

  test.each([
    ["{", "not JSON"],
    ["[]", "expected an object, found a list"],
    ["{}", "expected kind or event_type"],
    ['{"kind":"xd"}', 'did you mean "xid"?'],
    ['{"event_type":"thermel"}', 'did you mean "thermal"?'],
    ['{"event_type":"xid"}', "metrics.xid_code: expected a number"],
    ['{"event_type":"xid","metrics":[]}', "metrics: expected an object"],
    ['{"kind":"xid","code":-1}', "code: "],
    ['{"kind":"xid","at":"noon"}', "at: must be an RFC 3339 time"],
  ])("refuses %s", (text, message) => {
    expect(refusal(text)).toContain(message);
  });

  test("answers whatever the line", () => {
    fc.assert(fc.property(fc.json(), (text) => void parseFindingLine(text, 1)));
    fc.assert(fc.property(fc.string(), (text) => void parseFindingLine(text, 1)));
  });
});
