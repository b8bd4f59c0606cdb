/** The port to reloads of the configuration, for the routes and the command line. */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Config } from "../../schema/config.ts";

/** What configuration and policy files say, and what is doubtful about it. */
export type Loaded = { config: Config; policy: CompiledPolicy; warnings: string[] };
/** How the store, events and views name a policy. */
export const policyId = ({ hash }: { hash: string }): string => hash.slice(0, 12);

export type LoadAnswer = { ok: true; loaded: Loaded } | { ok: false; lines: string[] };

export const RELOAD_OUTCOMES = ["applied", "unchanged", "refused", "invalid", "failed"] as const;

export type Reload = {
  /** `invalid`: the files are wrong. `refused`: pools or providers with nodes are missing. */
  outcome: (typeof RELOAD_OUTCOMES)[number];
  at: number;
  by: string;
  /** Keys that are in force after the next start. */
  restart: string[];
  /** Why it is not in force. */
  problems: string[];
  warnings: string[];
  /** How many keys changed. */
  changed: number;
};

export type Reloader = {
  /** `--config`. */
  files(): readonly string[];
  /** The files' content that is in force, and since when. */
  loaded(): Loaded;
  loadedAt(): number;
  last(): Reload | null;
  /** Whether the files differ from what is in force. */
  isStale(): boolean;
  /** The files as they are now, checked as for a start. */
  examine(): Promise<LoadAnswer>;
  /** `removesPools`: as at the start, unless given. Never rejects. */
  reload(by: string, removesPools?: boolean): Promise<Reload>;
};
