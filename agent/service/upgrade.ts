/**
 * Decides whether this program can be upgraded by an order: it is compiled, a service manager
 * restarts it, its state directory is usable, and its platform has releases.
 *
 * Adapter: environment, files, network, child processes.
 */
import { UPGRADE_CAPABILITY } from "../../schema/upgrade.ts";
import { VERSION } from "../../schema/version.ts";
import { openUpgrader, type UpgradeParts, type Upgrader, whyBarred } from "../command/upgrade.ts";
import { NO_TRIAL, openTrial, type Trial } from "../command/upgrade-trial.ts";
import type { Options } from "./option.ts";
import type { Log } from "../report/part.ts";
import type { Clock } from "../port/port.ts";
import type { StateFiles } from "../spool/state-file.ts";
import { openTrust } from "../trust/trust.ts";
import { isCompiled } from "./machine.ts";

/** Names of releases by `process.arch`. */
const PLATFORMS: Readonly<Record<string, string>> = { x64: "linux-amd64", arm64: "linux-arm64" };

export type Renewal = { trial: Trial; upgrade: Upgrader | null; capabilities: string[] };

export function openRenewal(from: {
  options: Options;
  clock: Clock;
  files: StateFiles;
  directory: string | null;
  hasSigned: UpgradeParts["hasSigned"];
  leave: () => void;
  log: Log;
}): Renewal {
  const { options, clock, files, directory, hasSigned, leave, log } = from;
  const { INVOCATION_ID, NOTIFY_SOCKET } = process.env;
  // A shell of a desktop session inherits the id of the service that opened it.
  const isManaged = Boolean(NOTIFY_SOCKET) || (Boolean(INVOCATION_ID) && process.ppid === 1);
  const platform = PLATFORMS[process.arch];
  // Without the trial note in the state directory a bad release could not be rolled back.
  if (!isCompiled() || !isManaged || platform === undefined || directory === null) {
    return { trial: NO_TRIAL, upgrade: null, capabilities: [] };
  }
  const binary = process.execPath;
  const trial = openTrial({ binary, version: VERSION, files, clock, leave, log });
  const trust = openTrust({ ...options, directory });
  const upgrade = openUpgrader({
    binary,
    version: VERSION,
    base: options.server,
    ready: () => trust.ready(),
    tls: () => trust.tls(),
    platform,
    hasSigned,
    files,
    now: () => clock.wallMs(),
    leave,
  });
  const able = whyBarred(binary) === null;
  return { trial, upgrade, capabilities: able ? [`${UPGRADE_CAPABILITY}${platform}`] : [] };
}
