/** What a collector receives, and what becomes of spans while none answers. */
import { expect, test } from "bun:test";
import type { Span } from "../core/trace.ts";
import { openTraces } from "./otlp.ts";

const span = (spanId: string, more: Partial<Span> = {}): Span => ({
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId,
  parentId: null,
  name: "repair",
  startAt: 1_000,
  endAt: 3_500,
  failure: null,
  attributes: { "navarch.node": "gpu-1", "navarch.attempts": 2 },
  ...more,
});

test("C81: a collector receives ids, parents, times and failures as they are", async () => {
  const seen: { path: string; auth: string | null; body: string }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const auth = request.headers.get("x-key");
      seen.push({ path: pathname, auth, body: await request.text() });
      return Response.json({});
    },
  });
  const url = `http://127.0.0.1:${server.port}/v1/traces`;
  // Times of the wall clock, however long this process has lived.
  await Bun.sleep(Math.max(0, 1_010 - performance.now()));
  const traces = openTraces({ url, headers: { "X-Key": "k" }, fleetId: "f", instance: "h" });
  traces.take([
    span("00000000000000a1"),
    span("00000000000000a2", { parentId: "00000000000000a1", name: "cordon", failure: "refused" }),
  ]);
  await traces.close();
  await server.stop(true);
  expect(seen.map(({ path, auth }) => [path, auth])).toEqual([["/v1/traces", "k"]]);
  const { resourceSpans } = JSON.parse(seen[0]?.body ?? "");
  expect(resourceSpans[0].scopeSpans[0].spans).toMatchObject([
    {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "00000000000000a1",
      name: "repair",
      startTimeUnixNano: "1000000000",
      endTimeUnixNano: "3500000000",
    },
    {
      spanId: "00000000000000a2",
      parentSpanId: "00000000000000a1",
      name: "cordon",
      status: { code: 2, message: "refused" },
    },
  ]);
  const names = resourceSpans[0].resource.attributes.map(({ key }: { key: string }) => key);
  expect(names).toContain("navarch.fleet");
});

test("C81: without a collector nothing throws, waits long or piles up", async () => {
  const url = "http://127.0.0.1:9/v1/traces";
  const traces = openTraces({ url, headers: {}, fleetId: "f", instance: "h" });
  for (let i = 1; i <= 10_000; i++) traces.take([span(i.toString(16).padStart(16, "0"))]);
  const before = performance.now();
  await traces.close();
  expect(performance.now() - before).toBeLessThan(20_000);
}, 30_000);
