/**
 * `navarch bootstrap <id> --follow` against a control plane that sets a node up, restarts meanwhile,
 * fails an attempt and succeeds with the next.
 */
import { afterAll, expect, test } from "bun:test";
import { formatAttempts } from "../../cli/bootstrap-view.ts";
import type { BootstrapAttemptView, BootstrapStepView } from "../../schema/api-bootstrap.ts";
import { endReading, json, navarch, startReading } from "./spawn.ts";
import { openStub, type Stub } from "./stub.ts";

afterAll(endReading);

const AT = "2026-03-01T12:00:00.000Z";

function step(name: string, more: Partial<BootstrapStepView> = {}): BootstrapStepView {
  const output = { exit_code: null, stdout: "", stderr: "", skipped: false, error: null };
  const about = { kind: "command", name, command: `run ${name}`, started_at: AT };
  return { ...about, duration_ms: null, ...output, ...more };
}

function attempt(number: number, steps: BootstrapStepView[]): BootstrapAttemptView {
  const about = { attempt: number, instance_id: "i-gpu-2", address: "10.0.0.7", host_key: null };
  return { ...about, started_at: AT, ended_at: null, state: "running", error: null, steps };
}

const OK = { duration_ms: 900, exit_code: 0 };
const LOST = { ...attempt(1, [step("driver", { duration_ms: 9, exit_code: 7 })]), ended_at: AT };
const FAILED = { ...LOST, state: "failed", error: "driver: exit 7" };

/** What a stub that took the place of another one knows, too. */
function restart(before: Stub): Stub {
  const stub = openStub({ port: before.port, token: null });
  stub.bootstrap = before.bootstrap;
  return stub;
}

test("prints each line once, waits between attempts, and ends with the setup", async () => {
  const first = openStub({ token: null });
  first.bootstrap = { phase: "booting", attempts: [] };
  const words = ["bootstrap", "gpu-2", "--follow"];
  const { child, said, until } = startReading(words, { NAVARCH_SERVER: first.url });
  await until(() => said.err.includes("gpu-2 is booting; waiting for its setup\n"), "the wait");
  first.bootstrap = { phase: "bootstrapping", attempts: [FAILED] };
  await until(() => said.out.includes("driver: exit 7"), "the first attempt");
  const half = step("driver", { stdout: "fetching\nunpac" });
  first.bootstrap = { phase: "bootstrapping", attempts: [attempt(2, [half]), FAILED] };
  await until(() => said.out.includes("fetching\n"), "the first line of the second attempt");
  expect(said.out).not.toContain("unpac");
  await first.close();
  await until(() => said.err.includes("trying again"), "the warning");
  const second = restart(first);
  const done = [step("driver", { ...OK, stdout: "fetching\nunpacking\n" }), step("agent", OK)];
  const whole = { ...attempt(2, done), ended_at: AT, state: "done" };
  second.bootstrap = { phase: "verifying", attempts: [whole, FAILED] };
  expect(await child.exited).toBe(0);
  await until(() => said.out.endsWith("done\n"), "the end");
  expect(said.out).toStartWith(formatAttempts([FAILED], false));
  for (const line of ["fetching", "unpacking", "agent  0.9 s", "Attempt 2 at 10.0.0.7"]) {
    expect([line, said.out.split(line).length - 1]).toEqual([line, 1]);
  }
  expect(said.err.match(/trying again/g)).toHaveLength(1);
  await second.close();
}, 30_000);

test("is an object a line for programs, and exit 1 where the last attempt failed", async () => {
  const stub = openStub({ token: null });
  stub.bootstrap = { phase: "terminating", attempts: [FAILED] };
  const words = ["bootstrap", "gpu-2", "-f", "-o", "json", "-s", stub.url];
  const { code, out, err } = await navarch(words);
  expect({ code, err }).toEqual({ code: 1, err: "" });
  const [one, two, ...more] = out.trim().split("\n").map(json);
  expect(one).toMatchObject({ attempt: 1, name: "driver", exit_code: 7 });
  expect(two).toMatchObject({ attempt: 1, state: "failed", error: "driver: exit 7" });
  expect(more).toEqual([]);
  await stub.close();
});
