/** The further port of the metrics page, with real sockets. */
import { afterEach, expect, test } from "bun:test";
import type { Config } from "../../schema/config.ts";
import type { Front } from "../http/route/listen.ts";
import { type MetricsPort, openMetricsPort } from "./metrics-port.ts";

const opened: { stop(...given: boolean[]): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.stop(true);
});

const front = { answer: async () => new Response("page\n") } as unknown as Front;

function open(port: number) {
  const metrics: { portProblem: string | null } = { portProblem: null };
  const logged: string[] = [];
  const due: (() => void)[] = [];
  const config = { server: { metricsPort: port, port: 1 } } as Config;
  const scraped: MetricsPort = openMetricsPort({
    ...{ config, metrics, leadership: { front: () => front }, host: "127.0.0.1" },
    clock: {
      after: (_ms, work) => {
        due.push(work);
        return () => void due.splice(0);
      },
    },
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  opened.push(scraped);
  return { metrics, logged, due, scraped };
}

test("a port that is taken is an error that says which, and is opened once it is free", async () => {
  const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("other") });
  opened.push(other);
  const port = other.port ?? 0;
  const { metrics, logged, due } = open(port);
  expect(metrics.portProblem).toStartWith(`server.metrics_port ${port} cannot be opened: `);
  due.shift()?.();
  // A problem that lasts is logged once.
  expect(logged).toEqual(["error server.metrics_port cannot be opened"]);
  await other.stop(true);
  due.shift()?.();
  expect(metrics.portProblem).toBeNull();
  expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toBe("page\n");
  expect(due).toEqual([]);
});

test("a port that was never opened is not tried after the end", async () => {
  const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("other") });
  opened.push(other);
  const { due, scraped } = open(other.port ?? 0);
  expect(due).toHaveLength(1);
  await scraped.stop();
  expect(due).toEqual([]);
});
