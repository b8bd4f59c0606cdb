/** The unit files say what the binaries and the packages are, and each line says why. */
import { describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { READ_DEADLINE_MS } from "../../agent/report/cadence.ts";
import { parseOptions, formatHelp } from "../../agent/service/option.ts";
import { DEFAULT_TOKEN_FILE } from "../../agent/report/token.ts";
import { PACKAGES } from "../../build/deb/package.ts";
import type { PackageName } from "../../build/deb/package.ts";
import { controlPlane } from "../../cli/command/control-plane.ts";
import { PULSE_MS } from "../../reconciler/runtime/presence.ts";
import { missesPrograms } from "../real/machine/gate.ts";
import { parseUnit, valuesOf } from "./unit-file.ts";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => Bun.file(join(ROOT, path)).text();
const UNITS = ["navarch-node.service", "navarch-control-plane.service"] as const;
const DROP_INS = ["allow-commands.conf", "allow-upgrades.conf", "credential.conf"] as const;
const unit = async (name: string) => parseUnit(await read(`systemd/${name}`));
const only = async (name: string, key: string) => {
  const values = valuesOf(await unit(name), key);
  expect(values).toHaveLength(1);
  return values[0] ?? "";
};

/** Directives that systemd 249 knows (Ubuntu 22.04), by its manual pages, as far as used here. */
const KNOWN_TO_249 = new Set(
  `Description Wants After StartLimitIntervalSec Type NotifyAccess ExecStart EnvironmentFile
  UnsetEnvironment Environment WorkingDirectory WatchdogSec WatchdogSignal Restart RestartSec
  TimeoutStartSec KillMode TimeoutStopSec MemoryMax OOMPolicy CPUQuota TasksMax OOMScoreAdjust
  LimitCORE LimitNOFILE StateDirectory StateDirectoryMode RuntimeDirectory RuntimeDirectoryMode
  TemporaryFileSystem UMask User Group CapabilityBoundingSet AmbientCapabilities NoNewPrivileges
  PrivateUsers PrivateDevices DevicePolicy DeviceAllow ProtectKernelLogs ProtectSystem ProtectHome
  BindReadOnlyPaths ReadWritePaths PrivateTmp PrivateMounts ProtectKernelTunables ProtectKernelModules ProtectControlGroups
  ProtectClock ProtectHostname ProtectProc LockPersonality RestrictNamespaces RestrictRealtime
  RestrictSUIDSGID RemoveIPC KeyringMode RestrictAddressFamilies SystemCallArchitectures
  SystemCallFilter SystemCallErrorNumber LoadCredential WantedBy Alias ExecReload`.split(/\s+/),
);
/** Passed over with a warning by those that do not know them, and nothing depends on them. */
const NEWER: Readonly<Record<string, number>> = { RestartSteps: 254, RestartMaxDelaySec: 254 };

describe.each([...UNITS, ...DROP_INS])("%s", (name) => {
  test("explains each directive in the paragraph it stands in", async () => {
    const bare = (await unit(name)).filter(({ explained }) => !explained);
    expect(bare.map(({ line, key }) => `${name}:${line}: ${key}`)).toEqual([]);
  });

  test("uses what systemd 249 knows, or what may be passed over", async () => {
    const keys = (await unit(name)).map(({ key }) => key);
    expect(keys.filter((key) => !KNOWN_TO_249.has(key) && !(key in NEWER))).toEqual([]);
  });

  test("is short enough to be read in a terminal", async () => {
    const text = await read(`systemd/${name}`);
    expect(text.split("\n").filter((line) => line.length > 100)).toEqual([]);
    expect(text.endsWith("\n")).toBe(true);
  });
});

describe.each(UNITS)("%s", (name) => {
  test("is explained line by line in the README", async () => {
    const readme = await read("systemd/README.md");
    const keys = [...new Set((await unit(name)).map(({ key }) => key))];
    expect(keys.filter((key) => !readme.includes(`\`${key}=`))).toEqual([]);
  });

  test("gives each directive once, but for those that are lists", async () => {
    const lists = new Set(["EnvironmentFile", "DeviceAllow", "SystemCallFilter"]);
    const keys = (await unit(name)).map(({ key }) => key).filter((key) => !lists.has(key));
    expect(keys).toEqual([...new Set(keys)]);
  });

  test("never gives up, and is watched by its own progress", async () => {
    expect(await only(name, "StartLimitIntervalSec")).toBe("0");
    expect(await only(name, "Restart")).toBe("always");
    expect(await only(name, "Type")).toBe("notify");
    expect(await only(name, "NotifyAccess")).toBe("main");
    expect(Number(await only(name, "RestartMaxDelaySec"))).toBeGreaterThan(
      Number(await only(name, "RestartSec")),
    );
  });

  test("has a place to work in, limits, and room for the JIT", async () => {
    expect(await only(name, "WorkingDirectory")).toBe("/");
    expect(await only(name, "MemoryMax")).toMatch(/^\d+[MG]$/);
    expect(await only(name, "CPUQuota")).toMatch(/^\d+%$/);
    expect((await only(name, "UnsetEnvironment")).split(" ")).toContain("BUN_OPTIONS");
    const keys = (await unit(name)).map(({ key }) => key);
    for (const ban of ["MemoryDenyWriteExecute", "LimitAS", "LimitDATA"]) {
      expect(keys).not.toContain(ban);
    }
  });
});

describe("navarch-node.service", () => {
  const name = "navarch-node.service";

  test("starts the agent with flags that it has", async () => {
    const [program, ...words] = (await only(name, "ExecStart")).split(" ");
    expect(program).toBe("navarch-node");
    const argv = words.flatMap((word) => (word.startsWith("$") ? [] : [word]));
    // Its metrics are there for collectors on the machine, and elsewhere or off by the last flag.
    const metricsOf = (...more: string[]) => {
      const answer = parseOptions([...argv, ...more], {}, "n1", 0);
      return answer.kind === "options" ? answer.options.metrics : answer.kind;
    };
    expect(metricsOf()).toEqual({ hostname: "127.0.0.1", port: 9410 });
    expect(metricsOf("--metrics-addr=127.0.0.1:9100")).toMatchObject({ port: 9100 });
    expect(metricsOf("--metrics-addr=")).toBeNull();
    expect(words).toContain("$NAVARCH_NODE_FLAGS");
    const commands = valuesOf(await unit("allow-commands.conf"), "ExecStart");
    expect(commands).toHaveLength(2);
    expect(commands[0]).toBe("");
    const flags = (commands[1] ?? "").split(" ").filter((word) => word.startsWith("--"));
    expect(parseOptions(flags, {}, "n1", 0)).toMatchObject({
      options: { allowCommands: true, metrics: { port: 9410 } },
    });
  });

  test("keeps state and credential where the agent looks for them", async () => {
    const parsed = parseOptions([], {}, "n1", 0);
    const state = await only(name, "StateDirectory");
    expect(parsed).toMatchObject({ options: { spool: `/var/lib/${state}` } });
    expect(PACKAGES["navarch-node"].folders).toHaveProperty([`.${dirname(DEFAULT_TOKEN_FILE)}/`]);
  });

  test("lets the agent hear the kernel and reach the GPUs, and nothing else", async () => {
    expect(await only(name, "ProtectKernelLogs")).toBe("no");
    expect(await only(name, "CapabilityBoundingSet")).toBe("CAP_SYSLOG");
    expect(await only(name, "DevicePolicy")).toBe("closed");
    expect(valuesOf(await unit(name), "DeviceAllow")).toEqual([
      "/dev/kmsg r",
      "char-195 rw",
      "char-nvidia* rw",
    ]);
    expect(valuesOf(await unit(name), "PrivateDevices")).toEqual([]);
  });

  test("waits longer than the agent's own deadlines", async () => {
    expect(Number(await only(name, "TimeoutStartSec")) * 1_000).toBeGreaterThan(
      2 * READ_DEADLINE_MS,
    );
    const goodbye = /GOODBYE_MS = ([\d_]+)/.exec(await read("agent/service/main.ts"))?.[1] ?? "";
    const goodbyeMs = Number(goodbye.replaceAll("_", ""));
    expect(goodbyeMs).toBeGreaterThan(0);
    expect(Number(await only(name, "TimeoutStopSec")) * 1_000).toBeGreaterThan(goodbyeMs);
  });
});

describe("navarch-control-plane.service", () => {
  const name = "navarch-control-plane.service";

  test("starts the control plane with flags that it has", async () => {
    const [program, command, ...words] = (await only(name, "ExecStart")).split(" ");
    expect([program, command ?? ""]).toEqual(["navarch", controlPlane.name.join(" ")]);
    const known = new Set(controlPlane.flags.map((flag) => flag.name));
    const flags = words.filter((word) => word.startsWith("--"));
    const names = flags.map((word) => word.slice(2).split("=")[0] ?? "");
    expect(names).toEqual(["config", "state"]);
    expect(names.filter((one) => !known.has(one))).toEqual([]);
    expect(words.filter((word) => !flags.includes(word))).toEqual(["$NAVARCH_FLAGS"]);
    expect(flags).toContain(`--state=%S/${await only(name, "StateDirectory")}`);
  });

  test("V12: reloads by SIGHUP, and restarts as velda-apiserver", async () => {
    const name = "navarch-control-plane.service";
    expect(await only(name, "ExecReload")).toBe("kill -HUP $MAINPID");
    expect(await only(name, "Alias")).toBe("velda-apiserver.service");
  });

  test("unpacks the database's native part where it may be loaded from", async () => {
    const folder = /^TMPDIR=(.*)$/.exec(await only(name, "Environment"))?.[1] ?? "";
    const [path, options = ""] = (await only(name, "TemporaryFileSystem")).split(":");
    expect(path).toBe(folder);
    expect(options.split(",")).toContain("exec");
    expect(folder).toBe(`/run/${await only(name, "RuntimeDirectory")}/tmp`);
  });

  test("has no power and a user of its own", async () => {
    expect(await only(name, "User")).toBe("navarch");
    expect(await only(name, "CapabilityBoundingSet")).toBe("");
    expect(await only(name, "PrivateDevices")).toBe("yes");
  });

  test("leaves the loop and the shutdown more time than they take", async () => {
    expect(Number(await only(name, "WatchdogSec")) * 1_000).toBeGreaterThan(10 * PULSE_MS);
    const patience = controlPlane.flags.find((flag) => flag.name === "shutdown-timeout")?.help;
    const seconds = Number(/default (\d+)s/.exec(patience ?? "")?.[1]);
    expect(Number(await only(name, "TimeoutStopSec"))).toBeGreaterThan(seconds);
  });
});

describe("packages", () => {
  const OWNERS: readonly [PackageName, string, string][] = [
    ["navarch-node", "navarch-node.service", "etc/default/navarch-node"],
    ["navarch", "navarch-control-plane.service", "etc/default/navarch-control-plane"],
  ];
  /** Written by the installer script instead of the package. */
  const INSTALLERS = new Set(["etc/navarch-node/environment"]);

  test.each(OWNERS)("%s holds every file that %s names", async (name, unitName) => {
    const files = { ...PACKAGES[name].files, [`usr/bin/${name}`]: {} };
    const directives = await unit(unitName);
    const environment = valuesOf(directives, "EnvironmentFile").map((path) => {
      expect(path).toStartWith("-/");
      return path.slice(2);
    });
    const words = valuesOf(directives, "ExecStart").join(" ").split(" ");
    const named = words.flatMap((word) => /=\/(etc\/.*)$/.exec(word)?.[1] ?? []);
    const program = `usr/bin/${words[0] ?? ""}`;
    const wanted = [...environment, ...named, program].filter((path) => !INSTALLERS.has(path));
    expect(wanted.filter((path) => !(path in files))).toEqual([]);
    expect(PACKAGES[name].files).toHaveProperty([`usr/lib/systemd/system/${unitName}`]);
  });

  test.each(OWNERS)("%s offers settings that are read", async (name, unitName, path) => {
    const text = await read(PACKAGES[name].files[path]?.from ?? "");
    const offered = [...text.matchAll(/^#?([A-Z_]+)=/gm)].map(([, variable]) => variable ?? "");
    expect(offered.length).toBeGreaterThan(1);
    const [words] = [valuesOf(await unit(unitName), "ExecStart").join(" ")];
    const composed = ["server/main.ts", "server/open-start.ts", "store/address.ts"].map(
      (path) => `reconciler/${path}`,
    );
    const readers = name === "navarch" ? await Promise.all(composed.map(read)) : [formatHelp()];
    const unread = offered.filter((variable) => {
      return !words.includes(`$${variable}`) && !readers.some((text) => text.includes(variable));
    });
    expect(unread).toEqual([]);
  });
});

describe("parseUnit()", () => {
  test("ends an explanation with the paragraph", () => {
    const text = "[Unit]\n# Why.\nA=1\nB=2\n\nC=3\n[Service]\n# Why.\n\nD=\n";
    expect(parseUnit(text).map(({ key, explained }) => `${key} ${explained}`)).toEqual([
      "A true",
      "B true",
      "C false",
      "D false",
    ]);
    expect(() => parseUnit("[Unit]\nnonsense\n")).toThrow("line 2");
  });
});

/** What `systemd-analyze security` says, times ten; the README has both, and why not less. */
const EXPOSURE_MAX: Readonly<Record<(typeof UNITS)[number], number>> = {
  "navarch-node.service": 24,
  "navarch-control-plane.service": 12,
};
const isMissing = await missesPrograms("systemd-analyze", { "systemd-analyze": "systemd" });

describe.skipIf(isMissing)("systemd-analyze", () => {
  test.each(UNITS)("finds %s no more exposed than the README says", (name) => {
    const flags = ["security", "--offline=true", "--no-pager"];
    const limit = `--threshold=${EXPOSURE_MAX[name]}`;
    const done = Bun.spawnSync(["systemd-analyze", ...flags, limit, join(ROOT, "systemd", name)]);
    expect(done.stderr.toString()).not.toContain("Unknown key name 'Protect");
    expect(`${done.exitCode} ${done.stdout.toString().split("\n").slice(-3).join(" ")}`).toMatch(
      /^0 /,
    );
  });
});
