/**
 * Opens the reload of a running control plane: its signal, its files, and its place in the metrics.
 *
 * Adapter: signals, environment.
 */
import type { Log } from "../core/clock.ts";
import type { LoadAnswer } from "../core/reload.ts";
import type { Leadership } from "./leadership.ts";
import type { Parts } from "./role.ts";
import { load } from "./load.ts";
import type { ControlPlaneOptions } from "./main.ts";
import { serverOf } from "./open-start.ts";
import { Reloads } from "./reload.ts";

export function loadFiles(options: ControlPlaneOptions): Promise<LoadAnswer> {
  return load(options.configPaths, {
    portZero: options.testPortFile !== undefined,
    externalAddress: process.env["NAVARCH_EXTERNAL_ADDRESS"] !== undefined,
    around: {
      env: process.env,
      serverGiven: serverOf(options.state) !== null,
      tokenFileGiven: options.authTokenFile !== undefined,
    },
  });
}

/** Anyone who reads the log of a control plane must know that its faults may be on purpose. */
export function logSimulation(log: Log, is: boolean, was: boolean | null): void {
  if (is && was !== true) {
    log("warn", "simulation is enabled: operators may inject faults into machines and providers");
  } else if (!is && was === true) log("info", "simulation is off: no fault can be injected");
}

/** SIGHUP ends a process by default: one that comes during the start is carried out after it. */
export type Hangups = { then(reload: () => void): void };

export function catchHangups(): Hangups {
  let came = false;
  let act = (): void => void (came = true);
  process.on("SIGHUP", () => act());
  return {
    then(reload) {
      act = reload;
      if (came) reload();
    },
  };
}

export function openReloads(
  options: ControlPlaneOptions,
  from: { parts: Parts; leadership: Leadership; hangups: Hangups },
): Reloads {
  const { parts, leadership, hangups } = from;
  const { metrics, log, clock, loaded } = parts;
  metrics.configWarnings = loaded.warnings.length;
  const reloads = new Reloads({
    clock,
    log,
    paths: options.configPaths,
    loaded,
    load: () => loadFiles(options),
    adopter: () => leadership.config(),
    applied(next) {
      const was = parts.loaded.config.simulation.enabled;
      parts.loaded = next;
      logSimulation(log, next.config.simulation.enabled, was);
    },
    removesPools: options.removesPools === true,
    seen(reload, isStale) {
      metrics.configStale = isStale;
      if (reload === null) return;
      metrics.countReload(reload.outcome);
      const isIn = reload.outcome === "applied" || reload.outcome === "unchanged";
      if (isIn) metrics.configWarnings = reload.warnings.length;
    },
  });
  void reloads.start().catch((error: unknown) => {
    log("warn", "cannot watch the configuration", { error: String(error) });
  });
  hangups.then(() => void reloads.reload("SIGHUP"));
  return reloads;
}
