/**
 * Whether and how this program can be upgraded by an order: compiled, under a service manager that
 * restarts it, on a platform for which there are releases.
 *
 * Adapter: files, network, child processes, by what it composes.
 */
import { UPGRADE_CAPABILITY } from "../../schema/upgrade.ts";
import { VERSION } from "../../schema/version.ts";
import { openUpgrader, type UpgradeParts, type Upgrader, whyBarred } from "../command/upgrade.ts";
import { openTrial, type Trial } from "../command/upgrade-trial.ts";
import type { Options } from "../option.ts";
import type { Log } from "../report/part.ts";
import type { Clock } from "../port.ts";
import type { StateFiles } from "../state-file.ts";
import { openTrust } from "../trust.ts";

/** As releases name them, by `process.arch`. */
const PLATFORMS: Readonly<Record<string, string>> = { x64: "linux-amd64", arm64: "linux-arm64" };

export type Renewal = { trial: Trial; upgrade: Upgrader | null; capabilities: string[] };

const NONE: Renewal = {
  trial: { over: false, follow: (sender) => sender },
  upgrade: null,
  capabilities: [],
};

export function openRenewal(from: {
  options: Options;
  clock: Clock;
  files: StateFiles;
  directory: string | null;
  /** The compiled program's own file; `null` = it runs from source. */
  binary: string | null;
  /** A service manager started this process and restarts it whenever it ends. */
  managed: boolean;
  architecture: string;
  hasSigned: UpgradeParts["hasSigned"];
  leave: () => void;
  log: Log;
}): Renewal {
  const { options, clock, files, directory, binary, leave, log } = from;
  const platform = PLATFORMS[from.architecture];
  // Without a place for the note there would be no way back by itself.
  if (binary === null || !from.managed || platform === undefined || directory === null) return NONE;
  const trial = openTrial({ binary, version: VERSION, files, clock, leave, log });
  const trust = openTrust({ ...options, directory });
  const upgrade = openUpgrader({
    binary,
    version: VERSION,
    base: options.server,
    ready: () => trust.ready(),
    tls: () => trust.tls(),
    platform,
    hasSigned: from.hasSigned,
    files,
    now: () => clock.wallMs(),
    leave,
  });
  const able = whyBarred(binary) === null;
  return { trial, upgrade, capabilities: able ? [`${UPGRADE_CAPABILITY}${platform}`] : [] };
}
