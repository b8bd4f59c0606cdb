/** The real agent as the service manager sees it: ready, fed, stopping; and stuck when it is. */
import { afterAll, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mkdtempSync, rmSync } from "node:fs";
import { startAgent } from "../agent/binary.ts";
import { until } from "../agent/control-plane.ts";
import { listen } from "./listener.ts";

const folder = mkdtempSync(join(tmpdir(), "attended-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An agent from source with two made-up GPUs and nobody to report to, and what it says. */
function start(name: string, env: Record<string, string>) {
  const socket = join(folder, `${name}.sock`);
  const far = listen(socket);
  const heard: string[] = [];
  const agent = startAgent(
    ["--fake-gpus=2", "--server=127.0.0.1:9", `--spool=${join(folder, name)}`],
    { source: true, env: { NOTIFY_SOCKET: socket, ...env } },
  );
  const hear = () => {
    for (let text = far.next(); text !== null; text = far.next()) heard.push(text);
    return heard;
  };
  return { agent, far, hear };
}

test("the agent is ready with its first look, feeds the watchdog, and says goodbye", async () => {
  const { agent, far, hear } = start("normal", { WATCHDOG_USEC: "600000" });
  const fed = () => hear().filter((text) => text === "WATCHDOG=1").length;
  await until("it is ready", () => hear().some((text) => text.includes("READY=1")));
  const ready = hear().find((text) => text.includes("READY=1"));
  expect(ready).toBe("READY=1\nSTATUS=2 simulated GPUs; nothing reported yet");
  await until("it has failed to report", () =>
    hear().includes("STATUS=2 simulated GPUs; the control plane is unreachable"),
  );
  const before = fed();
  await until("it goes on feeding", () => fed() >= before + 3);
  agent.signal("SIGTERM");
  expect(await agent.exited).toBe(0);
  expect(hear().at(-1)).toBe("STOPPING=1\nSTATUS=sending the last report");
  far.close();
}, 20_000);

test("the agent leaves a watchdog alone that is another process's", async () => {
  const { agent, far, hear } = start("other", { WATCHDOG_USEC: "300000", WATCHDOG_PID: "1" });
  await until("it is ready", () => hear().some((text) => text.includes("READY=1")));
  agent.signal("SIGTERM");
  await agent.exited;
  expect(hear().filter((text) => text.includes("WATCHDOG"))).toEqual([]);
  far.close();
}, 20_000);

test("the agent runs on where the manager cannot be reached", async () => {
  const agent = startAgent(
    ["--fake-gpus=1", "--server=127.0.0.1:9", `--spool=${join(folder, "vsock")}`],
    { source: true, env: { NOTIFY_SOCKET: "vsock:2:1" } },
  );
  await until("it has started", () => agent.log().includes('"started"'));
  expect(agent.log()).toContain("cannot talk to the service manager");
  agent.signal("SIGTERM");
  expect(await agent.exited).toBe(0);
}, 20_000);
