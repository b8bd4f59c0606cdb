/**
 * `navarch control-plane`: reads the flags, loads the server and starts it.
 */
import type { Command } from "../command.ts";
import { unknownName } from "../failure.ts";
import { readSpan, switchFlag, textFlag, textsFlag } from "../flag.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
const FORMS = ["json", "text"] as const;
const SHUTDOWN_DEFAULT = "30s";

export const controlPlane: Command = {
  name: ["control-plane"],
  usage: "",
  summary: "run the control plane",
  examples: [
    "navarch control-plane --config navarch.yaml",
    "navarch control-plane --config navarch.yaml --dry-run",
  ],
  more:
    "Without --config it has no pools: nodes that report are watched, and none is created.\n" +
    "navarch with flags only, or the name navarch-control-plane, starts it too.",
  flags: [
    textsFlag("config", "F", "configuration file; later files override"),
    {
      name: "auth-token",
      kind: "text",
      env: ["NAVARCH_AUTH_TOKEN"],
      value: "T",
      help: "shared token; visible to other users of this machine, so prefer a file",
    },
    {
      name: "auth-token-file",
      kind: "text",
      env: ["NAVARCH_AUTH_TOKEN_FILE"],
      value: "F",
      help: "file with the shared token",
    },
    textFlag("addr", "A", "listen address; overrides server.address"),
    textFlag("state", "DIR", "state folder (database, admin.token), or the URL of a libSQL server"),
    textFlag("advertise", "A", "address at which other replicas reach this one"),
    {
      name: "log-level",
      kind: "text",
      value: "L",
      values: LEVELS,
      help: `${LEVELS.join(", ")} (default info)`,
    },
    {
      name: "log-format",
      kind: "text",
      value: "F",
      values: FORMS,
      help: `${FORMS.join(", ")} (default json)`,
    },
    textFlag(
      "shutdown-timeout",
      "T",
      `time for open work after SIGTERM (default ${SHUTDOWN_DEFAULT})`,
    ),
    switchFlag("dry-run", "decide only; change no cloud, cluster or machine"),
    switchFlag("allow-pool-removal", "end the nodes of pools that the configuration lacks"),
    { name: "test-lease-expiry", kind: "text", value: "T", help: "a short lease", hidden: true },
    { name: "test-port-file", kind: "text", value: "F", help: "write the port here", hidden: true },
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run({ flags, world }) {
    const given = flags.text("log-level") ?? "info";
    const logLevel = LEVELS.find((one) => one === given.toLowerCase());
    if (logLevel === undefined) return unknownName("log level", given, LEVELS);
    const form = flags.text("log-format") ?? "json";
    const logFormat = FORMS.find((one) => one === form.toLowerCase());
    if (logFormat === undefined) return unknownName("log format", form, FORMS);
    const text = (name: string) => flags.text(name) ?? "";
    const patience = text("shutdown-timeout");
    const shutdown = readSpan("shutdown-timeout", patience === "" ? SHUTDOWN_DEFAULT : patience);
    if (!shutdown.ok) return shutdown;
    const expiry = text("test-lease-expiry");
    const lease = expiry === "" ? null : readSpan("test-lease-expiry", expiry);
    if (lease?.ok === false) return lease;
    if (flags.from("auth-token") === "flag") {
      world.err("warning: --auth-token is visible to every user of this machine; use a file\n");
    }
    if (flags.texts("config").length === 0) {
      world.err("warning: no --config: nodes are watched, and none is created\n");
    }
    world.outlast?.();
    const { startControlPlane } = await import("../../reconciler/server/main.ts");
    const { openPlaneWorkflows } = await import("../../simulator/workflow/run/control-plane.ts");
    const started = await startControlPlane({
      openWorkflows: openPlaneWorkflows,
      configPaths: flags.texts("config"),
      ...(text("auth-token") === "" ? {} : { authToken: text("auth-token") }),
      ...(text("auth-token-file") === "" ? {} : { authTokenFile: text("auth-token-file") }),
      ...(text("addr") === "" ? {} : { addr: text("addr") }),
      ...(text("state") === "" ? {} : { state: text("state") }),
      logLevel,
      logFormat,
      shutdownTimeoutMs: shutdown.ms,
      dryRun: flags.on("dry-run"),
      removesPools: flags.on("allow-pool-removal"),
      ...(text("advertise") === "" ? {} : { advertise: text("advertise") }),
      ...(lease === null ? {} : { testLeaseExpiryMs: lease.ms }),
      ...(text("test-port-file") === "" ? {} : { testPortFile: text("test-port-file") }),
    });
    return started.exitCode;
  },
};
