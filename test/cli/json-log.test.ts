/** C82: what the two programs log is one JSON object a line, from their start to their end. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../fixture/plane/plane.ts";

const ROOT = join(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "navarch-json-log-"));
const children: Bun.Subprocess[] = [];
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map(({ exited }) => exited));
  rmSync(folder, { recursive: true, force: true });
});

/** A program from source; `log` is all that it wrote to either stream. */
function start(name: string, argv: readonly string[]) {
  const path = join(folder, name);
  const child = Bun.spawn([process.execPath, "run", ...argv], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    stdio: ["ignore", Bun.file(`${path}.out`), Bun.file(`${path}.err`)],
  });
  children.push(child);
  const log = (): string =>
    [".out", ".err"].map((end) => readFileSync(`${path}${end}`, "utf8")).join("");
  return { child, log };
}

type Line = { time: string; level: string; msg: string };

/** Fails unless each line is an object with time, level and message. */
function readLog(log: string): Line[] {
  const lines = log.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const read = JSON.parse(line) as Line;
    expect(read.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(read.level).toMatch(/^(?:debug|info|warn|error)$/);
    expect(read.msg).toBeString();
    return read;
  });
}

test("C82: control plane and agent log JSON lines: start, trouble, hostile text, end", async () => {
  const [config, port] = [join(folder, "navarch.yaml"), join(folder, "port")];
  const good = "server: { address: '127.0.0.1:0', metrics_port: 0 }\npools: []\n";
  writeFileSync(config, `kubernetes: { enabled: false }\n${good}`);
  const plane = start("control-plane", [
    ...[join(ROOT, "cli/main.ts"), "control-plane", "--config", config],
    ...["--state", join(folder, "state"), "--log-level", "debug", "--test-port-file", port],
  ]);
  const bound = await until("the port", 60_000, () => {
    return existsSync(port) ? readFileSync(port, "utf8").trim() || null : null;
  });
  const agent = start("agent", [
    ...[join(ROOT, "agent/main.ts"), "--server", `127.0.0.1:${bound}`, "--node-id", "n1"],
    ...["--fake-gpus", "1", "--spool", join(folder, "spool"), "--kernel-log", config],
    ...["--auth-token", "nobody", "--log-level", "debug"],
  ]);
  await until("the agent is refused", 60_000, () => (agent.log().includes("401") ? true : null));
  // A page that is none, and a configuration that is wrong.
  await fetch(`http://127.0.0.1:${bound}/v1/nodes/%1b%5b2J%0a`, { headers: { a: "b" } });
  writeFileSync(config, "server: [\u001b\n");
  plane.child.kill("SIGHUP");
  await until("the reload is refused", 60_000, () => {
    return readLog(plane.log()).some(({ level }) => level === "error") ? true : null;
  });
  for (const { child } of [agent, plane]) {
    child.kill("SIGTERM");
    await child.exited;
  }
  expect(readLog(agent.log()).length).toBeGreaterThan(3);
  expect(readLog(plane.log()).at(-1)?.msg).toBe("stopped");
}, 180_000);
