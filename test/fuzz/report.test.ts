/**
 * No report takes the control plane down, makes it slow, or touches another node: not when it is
 * taken in, not when it is folded, not when the store is read again.
 */
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { openStreams, type StreamData } from "../../reconciler/http/route/stream.ts";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { decodeFrame } from "../../agent/report/reply.ts";
import { Report, ReportReply } from "../../schema/report.ts";
import { poolYaml, World } from "../world/world.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { fullReply, fullReport } from "./document.ts";
import { mutate, mutations, odd } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

async function open(): Promise<{ w: World; a: WorldApp; good: string }> {
  const w = await World.open(poolYaml(1, ""), { store: "memory" });
  world = w;
  await w.until(() => w.serving().length === 1, 120);
  return { w, a: openWorldApp(w), good: w.serving()[0] ?? "" };
}

/** Each of these has the form of a time, and not each is one. */
const TIMES_AND_OTHERS = [
  "2026-01-01T00:00:00+01",
  "2026-02-31T23:59:59Z",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59-23:59",
];

/** The full report with one of them in the place of its `place`-th time. */
function withTime(place: number, time: string): string {
  let left = place;
  const text = JSON.stringify(fullReport(`stray-2-${place}`, 79));
  return text.replace(/2026-03-01T10:00:00Z/g, (was) => (left-- === 0 ? time : was));
}

const REFUSALS = new Set([400, 403, 413]);

test(
  "POST /agent/report answers any body, and a node that is well stays well",
  async () => {
    const { w, a, good } = await open();
    const health = (): unknown => {
      const { phase, session, health: of } = w.node(good);
      return [phase.kind, session, of.verdict, of.held, of.history];
    };
    const before = JSON.stringify(health());
    let taken = 0;
    let said = 0;
    const say = async (body: unknown): Promise<void> => {
      const answer = await a.call("POST", "/v1/agent/report", body);
      if (answer.status === 202) {
        taken++;
        v.parse(ReportReply, answer.body);
      } else {
        expect([answer.text, REFUSALS.has(answer.status)]).toEqual([answer.text, true]);
        const { code, message } = answer.body["error"] ?? {};
        expect([typeof code, typeof message]).toEqual(["string", "string"]);
        expect(String(message).length).toBeLessThan(1_000);
      }
      await w.say(good);
      // What was kept can be shown.
      if (said++ % 8 === 0)
        for (const path of ["/v1/nodes", "/metrics"]) {
          expect((await a.call("GET", path)).status).toBe(200);
        }
    };
    const body = fc.oneof(
      { weight: 6, arbitrary: mutations.map((all) => mutate(fullReport("stray-1"), all)) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 100 }) },
      { weight: 1, arbitrary: odd },
    );
    for (const time of TIMES_AND_OTHERS) {
      for (const place of [0, 1, 2, 3, 4, 5]) await say(withTime(place, time));
    }
    await fc.assert(fc.asyncProperty(body, say), runs(150));
    expect(taken).toBeGreaterThan(20);
    for (const path of ["/v1/nodes/stray-1", "/v1/findings", "/v1/events", "/v1/plan"]) {
      expect([path, (await a.call("GET", path)).status]).toEqual([path, 200]);
    }
    expect(JSON.stringify(health())).toBe(before);
    // Everything that was kept is read again by the next process, which works on.
    await w.crash();
    await w.start();
    await w.live(20);
    expect(w.serving()).toContain(good);
  },
  PATIENCE_MS,
);

test(
  "openStreams() answers each frame once, in order, and a socket's noise is its own",
  async () => {
    const { w, a, good } = await open();
    const ports = {
      reconciler: w.reconciler,
      ingest: w.ingest,
      authority: a.authority,
      metrics: a.metrics,
      quota: a.ports.quota,
      clock: w.clock,
      log: (level: string, message: string) => {
        throw new Error(`${level} ${message}`);
      },
    };
    const streams = openStreams(ports as never, () => undefined);
    let plugs = 0;
    const plug = (header: string) => {
      const sent: string[] = [];
      const closed: string[] = [];
      const quotaKey = `plug ${++plugs}`;
      const tail = Promise.resolve();
      const data: StreamData = { header, tail, queued: 0, node: null, quotaKey, early: 0 };
      return {
        data,
        sent,
        closed,
        send: (text: string) => void sent.push(text),
        close: (code: number, why: string) => void closed.push(`${code} ${why}`),
      };
    };
    const frame = fc.oneof(
      mutations.map((all) => JSON.stringify(mutate(fullReport("stray-1"), all)) ?? ""),
      fc.string({ unit: "binary", maxLength: 80 }),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom("[".repeat(100_000), '{"node_id":'.repeat(5_000), "{}", "null", ""),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 16 }), async (frames) => {
        const noisy = plug("Bearer both");
        const quiet = plug(`Bearer ${nodeToken("s", good)}`);
        for (const one of frames) streams.message(noisy as never, one);
        streams.message(quiet as never, JSON.stringify({ ...fullReport(good), findings: [] }));
        for (let i = 0; i < 40 && noisy.data.queued + quiet.data.queued > 0; i++) {
          await w.clock.pass(5);
        }
        await Promise.all([noisy.data.tail, quiet.data.tail]);
        expect([noisy.closed, noisy.sent.length]).toEqual([[], frames.length]);
        expect(noisy.data.queued).toBe(0);
        for (const text of noisy.sent) {
          expect(decodeFrame(text).kind).not.toBe("invalid");
          expect(text).not.toContain("Bearer");
        }
        expect(quiet.sent.map((text) => decodeFrame(text).kind)).toEqual(["reply"]);
      }),
      runs(60),
    );
  },
  PATIENCE_MS,
);

test(
  "safeParse(Report) answers any document, and what it takes survives the wire",
  () => {
    fc.assert(
      fc.property(mutations, (all) => {
        const start = performance.now();
        const parsed = v.safeParse(Report, mutate(fullReport("n1"), all));
        expect(performance.now() - start).toBeLessThan(5_000);
        if (!parsed.success) return expect(parsed.issues[0].message).not.toBe("");
        expect(v.safeParse(Report, JSON.parse(JSON.stringify(parsed.output))).success).toBe(true);
        for (const { finding } of parsed.output.findings ?? []) {
          expect(Number.isNaN(Date.parse(finding.at))).toBe(false);
        }
      }),
      runs(1_500),
    );
  },
  PATIENCE_MS,
);

test(
  "decodeFrame() answers any frame, in few words where it cannot read it",
  () => {
    const value = fc.oneof(
      mutations.map((all) => mutate(fullReply(), all)),
      mutations.map((all) => ({ push: mutate(fullReply(), all) })),
      mutations.map((all) => mutate({ error: { code: "gone", message: "x" } }, all)),
      odd,
    );
    const text = fc.oneof(
      value.map((one) => JSON.stringify(one) ?? "undefined"),
      fc.string({ unit: "binary" }),
      fc.constantFrom("[".repeat(100_000), `"${"x".repeat(300_000)}"`),
    );
    fc.assert(
      fc.property(text, (given) => {
        const decoded = decodeFrame(given);
        if (decoded.kind === "invalid") expect(decoded.why.length).toBeLessThanOrEqual(200);
        if (decoded.kind === "error") expect(decoded.message.length).toBeLessThanOrEqual(300);
        if (decoded.kind === "reply") v.parse(ReportReply, decoded.reply);
      }),
      runs(2_000),
    );
  },
  PATIENCE_MS,
);
