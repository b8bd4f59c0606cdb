/**
 * What a provider and the process of its simulated agents say to each other: files in the
 * provider's folder, each replaced as a whole. Pure.
 */
import * as v from "valibot";
import { count, positive } from "../../../schema/number.ts";

/** Written by the control plane; the process reads it again and again. */
export const SETTING_FILE = "agents.json";
/** Written by the process that holds `LOCK_FILE`. */
export const PROCESS_FILE = "agents.process.json";
/** The operating system releases it with the process, so two never run at once. */
export const LOCK_FILE = "agents.lock";
export const LOG_FILE = "agents.log";
/** A folder for each agent, by `folderOf` its purchase, with its credential. */
export const AGENT_FOLDER = "agent";
export const TOKEN_FILE = "token";

/** Exit status of a process that found another one at work. */
export const GAVE_WAY = 73;

export const TRUST_FILES = { ca: "ca.pem", cert: "client.pem", key: "client.key" } as const;

/** With another one the process ends, and is started again. */
export const AgentSetting = v.object({
  /** URL of the control plane. */
  server: v.string(),
  provider: v.string(),
  fleet_id: v.string(),
  kubeconfig: v.nullable(v.string()),
  context: v.nullable(v.string()),
  /** Which of `TRUST_FILES` are there; without one the system's authorities are trusted. */
  trust: v.object({ ca: v.boolean(), cert: v.boolean(), key: v.boolean() }),
});
export type AgentSetting = v.InferOutput<typeof AgentSetting>;

/** The start time makes a reused pid another process (proc_pid_stat(5), field 22). */
export const AgentProcess = v.object({
  pid: positive,
  start_ticks: v.string(),
  version: v.string(),
  commit: v.string(),
  /** Agents that run, as of the last look. */
  agents: count,
});
export type AgentProcess = v.InferOutput<typeof AgentProcess>;

/** `null`: there is no such text, or it is no such file. */
export function parseNote<T>(schema: v.GenericSchema<unknown, T>, text: string | null): T | null {
  try {
    const read = v.safeParse(schema, JSON.parse(text ?? "null"));
    return read.success ? read.output : null;
  } catch {
    return null;
  }
}
