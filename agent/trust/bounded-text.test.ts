/** Answers without end: whoever is in between can send them, before anything is proven. */
import { afterEach, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import type { Report } from "../../schema/report.ts";
import { readBounded } from "./bounded-text.ts";
import type { Clock } from "../port/port.ts";
import { createSender } from "../report/send.ts";
import type { TokenSource } from "../report/token.ts";
import { openTrust } from "./trust.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const MIB = 1_024 * 1_024;

/** Sends 64 KiB for as long as somebody takes it, 64 MiB at most; counts what was taken. */
function endless(): { base: string; sent: () => number } {
  let sent = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            await Bun.sleep(1);
            controller.enqueue(new Uint8Array(64 * 1_024).fill(0x20));
            sent += 64 * 1_024;
            if (sent >= 64 * MIB) controller.close();
          },
        }),
      ),
  });
  closing.push(() => server.stop(true));
  return { base: `http://127.0.0.1:${server.port}`, sent: () => sent };
}

const CLOCK: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

test("a reply without end is given up at its bound", async () => {
  const { base, sent } = endless();
  const tokens = { current: () => null, rejected: () => undefined, accepted: () => undefined };
  const sender = createSender({
    base,
    tokens: tokens as unknown as TokenSource,
    clock: CLOCK,
    random: () => 0,
    agentVersion: "t",
  });
  const answer = await sender.send({} as Report);
  sender.close();
  expect(answer).toMatchObject({ kind: "unreachable" });
  expect(sent()).toBeLessThan(8 * MIB);
}, 30_000);

test("an authority without end is none", async () => {
  const { base, sent } = endless();
  const trust = openTrust({
    server: base,
    caFingerprint: `sha256:${"0".repeat(64)}`,
    caFile: null,
    clientCertFile: null,
    clientKeyFile: null,
    directory: null,
  });
  expect(await trust.ready()).toContain("more than 65536 bytes");
  expect(sent()).toBeLessThan(8 * MIB);
}, 30_000);

test("readBounded() counts what a packed answer unfolds to", async () => {
  const packed = gzipSync(Buffer.alloc(64 * MIB));
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response(packed, { headers: { "content-encoding": "gzip" } }),
  });
  closing.push(() => server.stop(true));
  const response = await fetch(`http://127.0.0.1:${server.port}`);
  const read = await readBounded(response, MIB).catch((error: unknown) => String(error));
  expect(read).toBe(`Error: the answer has more than ${MIB} bytes`);
});

test.each([0, 2, 4])("readBounded() takes %i of at most 4 bytes", async (bytes) => {
  const text = "é".repeat(bytes / 2);
  expect(await readBounded(new Response(text), 4)).toBe(text);
  expect(await readBounded(new Response(null), 0)).toBe("");
});
