/**
 * A complete job and its ports for tests: everything has a value that works, so that a test names
 * only what it is about. Time runs, if asked to, faster than outside.
 *
 * Adapter: the clock.
 */
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { BootstrapAttempt, type Step } from "../../schema/bootstrap.ts";
import { InstanceId, NodeId, PoolName } from "../../schema/id.ts";
import type { Connect } from "../shell.ts";
import { openBinary } from "../ssh/binary.ts";
import type { Clock, Job, Outcome, Ports } from "./job.ts";

export type FakePorts = Ports & {
  /** Every document, checked against the schema, in order. */
  recorded: BootstrapAttempt[];
};

/** `markDirectory` is a fresh folder in `folder`; commands run as whoever the server runs them. */
export function makeJob(
  login: Pick<Job, "port" | "privateKey" | "hostKey"> & { folder: string },
  changes: Partial<Job> = {},
): Job {
  const { folder, ...rest } = login;
  return {
    node: v.parse(NodeId, "node-1"),
    pool: v.parse(PoolName, "training"),
    instance: v.parse(InstanceId, "i-1"),
    attempt: 1,
    epoch: 1,
    address: "127.0.0.1",
    user: "ubuntu",
    jump: null,
    commands: [],
    values: { ControlPlane: "http://10.0.0.5:50051", Pool: "training", NodeID: "node-1" },
    controlPlane: { candidates: [], listen: "0.0.0.0:50051" },
    agent: { x64: null, arm64: null },
    pushTo: null,
    credential: null,
    become: "never",
    resume: true,
    markDirectory: mkdtempSync(join(folder, "marks-")),
    timeouts: { sshMs: 30_000, sshConnectMs: 5_000, commandMs: 10_000 },
    ...rest,
    ...changes,
  };
}

export function makePorts(connect: Connect, masks: readonly string[] = [], speed = 1): FakePorts {
  const recorded: BootstrapAttempt[] = [];
  const record = (attempt: BootstrapAttempt) => {
    recorded.push(v.parse(BootstrapAttempt, attempt));
  };
  return { connect, clock: makeClock(speed), openBinary, record, masks, recorded };
}

/** With `speed` 100 a pause of five seconds takes fifty milliseconds. */
export function makeClock(speed = 1): Clock {
  return {
    wallMs: () => Date.now(),
    monoMs: () => performance.now() * speed,
    after: (ms, work) => {
      const timer = setTimeout(work, ms / speed);
      return () => clearTimeout(timer);
    },
  };
}

/** `done`, or what an outcome says instead. */
export function say(outcome: Outcome): string {
  if (outcome.kind === "failed") return `${outcome.cause}, ${outcome.retry}: ${outcome.error}`;
  return outcome.kind === "stale" ? `stale: ${outcome.error}` : outcome.kind;
}

export function commandsOf({ attempt }: Outcome): Step[] {
  return attempt.steps.filter(({ kind }) => kind === "command");
}

/** Waits for a level, up to eight seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 8_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within 8 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The lines that commands have appended to a file. */
export function readLines(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

/** False for a zombie too: it waits for its parent only and does nothing any more. */
export function isAlive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${Number(pid)}/status`, "utf8"));
  } catch {
    return false;
  }
}
