/** Which orders an agent carries out, and whose key it takes for the control plane's. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReleaseKey } from "../../reconciler/security/release-key.ts";
import type { CommandId } from "../../schema/id.ts";
import type { AgentCommand } from "../../schema/report.ts";
import { makeKey, signed } from "../../test/agent/test-key.ts";
import { KeyTrust, type KeyTrustFrom } from "./key-trust.ts";
import { openStateFiles } from "../spool/state-file.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "navarch-key-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

const NOW = Date.parse("2026-11-22T10:00:00Z");
const MINUTE = 60_000;
const KEY = makeKey();
const OTHER = makeKey();

function open(change: Partial<KeyTrustFrom> = {}, folder = mkdtempSync(join(FOLDER, "n-"))) {
  const logged: string[] = [];
  const trust = new KeyTrust({
    nodeId: "n1",
    base: "http://10.0.0.1:50051",
    enrolled: [{ fingerprint: KEY.fingerprint, source: "enrolment" }],
    files: openStateFiles(folder),
    now: () => NOW,
    log: (level, message) => void logged.push(`${level} ${message}`),
    ...change,
  });
  return { trust, logged, folder };
}

const REBOOT: AgentCommand = {
  command_id: "c1" as CommandId,
  type: "reboot",
  parameters: { a: "1", b: "2" },
  fence: 7,
};
const order = (key = KEY, node = "n1", now = NOW): AgentCommand => signed(key, REBOOT, node, now);

describe("judge()", () => {
  test("lets an order of the control plane through, whatever the order of its parameters", () => {
    const { trust } = open();
    expect(trust.judge(order())).toBe(null);
    expect(trust.judge({ ...order(), parameters: { b: "2", a: "1" } })).toBe(null);
  });

  const sound = order();
  const { signature } = sound;
  if (!signature) throw new Error("it is signed");
  const changed = (more: Partial<typeof signature>): AgentCommand => ({
    ...sound,
    signature: { ...signature, ...more },
  });
  const refusals: [string, AgentCommand, string][] = [
    ["without a signature", REBOOT, "not signed"],
    ["with none", { ...sound, signature: null }, "not signed"],
    ["of another key", order(OTHER), `signed with ${OTHER.fingerprint}`],
    ["of another key that says to be ours", changed({ key: OTHER.publicBase64 }), "signed with"],
    ["with no key", changed({ key: "AAAA" }), "signed with no key"],
    [
      "with a cut signature",
      changed({ value: signature.value.slice(4) }),
      "not that of this order",
    ],
    ["for another node", order(KEY, "n2"), "not that of this order to this node"],
    ["of another type", { ...sound, type: "gpu_reset" }, "not that of this order"],
    ["of another id", { ...sound, command_id: "c2" as CommandId }, "not that of this order"],
    ["with another fence", { ...sound, fence: 8 }, "not that of this order"],
    ["with another parameter", { ...sound, parameters: { a: "1" } }, "not that of this order"],
    ["that lives longer than it was signed", changed({ expires_at: NOW + 1 }), "not that of this"],
    ["that expired", order(KEY, "n1", NOW - 31 * MINUTE), "expired at 2026-11-22T09:59:00.000Z"],
    ["of the far future", order(KEY, "n1", NOW + 48 * 60 * MINUTE), "check the clock"],
  ];
  test.each(refusals)("refuses one %s", (_what, command, why) => {
    expect(open().trust.judge(command)).toContain(why);
  });

  test("refuses every order until a key is known", () => {
    expect(open({ enrolled: [] }).trust.judge(order())).toContain("no key");
  });
});

describe("the key", () => {
  const shown = (key: ReleaseKey) => key.shown;
  const knows = (trust: KeyTrust) => {
    const { key, source } = trust.view();
    return [key, source];
  };

  test("is the one that was given, whatever is shown on the way", () => {
    const { trust, logged } = open();
    trust.shown(shown(OTHER));
    expect(knows(trust)).toEqual([KEY.fingerprint, "enrolment"]);
    trust.shown(shown(OTHER));
    expect(logged.filter((line) => line.includes("another key"))).toHaveLength(1);
    expect(trust.judge(order(OTHER))).toContain("signed with");
  });

  test("is the first one over plain http, reported as that, and kept over a restart", () => {
    const { trust, folder, logged } = open({ enrolled: [] });
    expect(trust.view()).toMatchObject({ transport: "http", key: null, source: null });
    trust.shown(shown(KEY));
    expect(logged).toEqual(["warn key of the control plane"]);
    trust.shown(shown(OTHER));
    expect(knows(trust)).toEqual([KEY.fingerprint, "first use"]);
    const again = open({ enrolled: [] }, folder).trust;
    again.shown(shown(OTHER));
    expect(knows(again)).toEqual([KEY.fingerprint, "first use"]);
    // TLS proves who shows it: it corrects what http was told.
    const secure = open({ enrolled: [], base: "https://c:1" }, folder).trust;
    secure.shown(shown(OTHER));
    expect(knows(secure)).toEqual([OTHER.fingerprint, "tls"]);
    const third = makeKey();
    secure.shown(shown(third));
    expect(knows(secure)).toEqual([third.fingerprint, "tls"]);
    // And http corrects nothing that TLS has proven.
    const open_ = open({ enrolled: [] }, folder).trust;
    open_.shown(shown(KEY));
    expect(knows(open_)).toEqual([third.fingerprint, "tls"]);
  });

  test("follows a rotation that the known key vouches for, also over a restart", () => {
    const { trust, folder } = open();
    const next = makeKey(KEY);
    const forged = { ...OTHER.shown, vouched: [{ by: KEY.publicBase64, value: "AAAA" }] };
    trust.shown(forged);
    const stolen = { ...OTHER.shown, vouched: next.shown.vouched ?? [] };
    trust.shown(stolen);
    expect(knows(trust)).toEqual([KEY.fingerprint, "enrolment"]);
    trust.shown(shown(next));
    expect(knows(trust)).toEqual([next.fingerprint, "enrolment"]);
    expect(trust.judge(order(next))).toBe(null);
    expect(trust.judge(order(KEY))).toContain("signed with");
    // The file of the enrolment still has the old one, and is no step back.
    const again = open({}, folder).trust;
    expect(knows(again)).toEqual([next.fingerprint, "enrolment"]);
    // A person who gives another one means it.
    const given = [{ fingerprint: OTHER.fingerprint, source: "enrolment" as const }];
    expect(knows(open({ enrolled: given }, folder).trust)).toEqual([
      OTHER.fingerprint,
      "enrolment",
    ]);
  });

  test("of a join token replaces what was learned, and none that a person placed", () => {
    const { trust } = open({ enrolled: [] });
    trust.shown(shown(OTHER));
    trust.enrol(KEY.fingerprint, "join token");
    expect(knows(trust)).toEqual([KEY.fingerprint, "join token"]);
    const placed = open().trust;
    placed.enrol(OTHER.fingerprint, "join token");
    expect(knows(placed)).toEqual([KEY.fingerprint, "enrolment"]);
  });
});

describe("noteRefusal()", () => {
  test("counts a refused order once a minute, a flood of them ten times, and outlives a restart", () => {
    let now = NOW;
    const { trust, folder } = open({ now: () => now });
    const note = (id: string) => trust.noteRefusal({ ...REBOOT, command_id: id as CommandId }, "w");
    expect([note("a"), note("a")]).toEqual([true, false]);
    const flood = Array.from({ length: 500 }, (_, i) => note(`f${i}`));
    expect(flood.filter(Boolean)).toHaveLength(9);
    now += MINUTE;
    expect(note("a")).toBe(true);
    expect(trust.view()).toMatchObject({
      refused: 11,
      last_refusal: "reboot a at 2026-11-22T10:01:00.000Z: w",
    });
    expect(open({}, folder).trust.view().refused).toBe(11);
    now = Number.MAX_SAFE_INTEGER;
    expect(note("far")).toBe(true);
  });
});
