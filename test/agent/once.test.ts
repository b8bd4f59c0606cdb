import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nvmlOrSkip } from "../fixture/nvml/build.ts";
import { standInBus, standInPci, type SysfsDevice, writeSysfs } from "../fixture/nvml/sysfs.ts";
import { type NvmlState, openNvmlWorld } from "../fixture/nvml/state.ts";
import { agentBinary, runAgent, scratch, startAgent } from "./binary.ts";
import { StubControlPlane, until } from "./control-plane.ts";

beforeAll(() => void agentBinary());

type Printed = {
  node_id: string;
  verdict: string;
  simulated: boolean;
  gpus: { index: number; uuid: string; pci_bus_id: string }[];
  findings: {
    kind: string;
    reason: string | null;
    code: number | null;
    gpu_index: number | null;
    foreign: boolean;
    pci: string | null;
  }[];
  probes: { name: string; outcome: string; duration_ms: number }[];
};

function once(
  argv: string[],
  env: Record<string, string> = {},
): { code: number; out: Printed; ms: number; stderr: string } {
  const { code, stdout, stderr, ms } = runAgent(["--once", "--node-id", "n1", ...argv], env);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  return { code, out: JSON.parse(stdout) as Printed, ms, stderr };
}

/** A log of this boot in which the given lines stand. */
function kernelLog(...lines: string[]): string {
  const path = join(scratch(), "kmsg");
  const now = Math.floor(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e6);
  writeFileSync(
    path,
    lines.map((text, i) => `4,${i + 1},${now - 60_000_000 + i},-;${text}\n`).join(""),
  );
  return path;
}

const library = nvmlOrSkip("full");
const ENV = { NAVARCH_NVML_ENV: "FAKE_NVML_STATE,FAKE_NVML_STATS" };

describe.skipIf(library === null)("navarch-node --once with a library", () => {
  const on = (state: NvmlState, argv: string[] = []) => {
    const world = openNvmlWorld(scratch(), state);
    return once(["--nvml-path", library ?? "", "--kernel-log", kernelLog(), ...argv], {
      ...ENV,
      ...world.env,
    });
  };

  test("healthy GPUs are 0", () => {
    const { code, out } = on({ count: 8 });
    expect(out).toMatchObject({
      node_id: "n1",
      verdict: "healthy",
      simulated: false,
      findings: [],
    });
    expect(out.gpus).toHaveLength(8);
    expect(
      out.probes.every((probe) => probe.outcome === "ok" || probe.outcome === "not_supported"),
    ).toBe(true);
    expect(code).toBe(0);
  });

  test("an XID 79 in the log of this boot is 11, and names the GPU", () => {
    const bus =
      on({ count: 2 }).out.gpus[1]?.pci_bus_id.slice(4).toLowerCase().replace(/\.\d$/, "") ?? "";
    const log = kernelLog(`NVRM: Xid (PCI:${bus}): 79, GPU has fallen off the bus.`);
    const { code, out } = on({ count: 2 }, ["--kernel-log", log]);
    expect(out.findings).toMatchObject([{ kind: "xid", code: 79, gpu_index: 1, foreign: false }]);
    expect([code, out.verdict]).toEqual([11, "unhealthy"]);
    expect(on({ count: 2 }, ["--kernel-log", log, "--since", "30s"]).code).toBe(0);
  });

  test("a line about somebody else's device is shown and not judged", () => {
    const log = kernelLog("NVRM: Xid (PCI:d432:c8:03): 79, GPU has fallen off the bus.");
    const { code, out } = on({ count: 2 }, ["--kernel-log", log]);
    expect(out.findings).toMatchObject([{ code: 79, foreign: true }]);
    expect(code).toBe(0);
  });

  test("a lost GPU is 11", () => {
    const { code, out } = on({ count: 2, gpus: { 1: { rc: 15 } } });
    expect(out.findings.map((finding) => [finding.kind, finding.gpu_index])).toEqual([["lost", 1]]);
    expect(code).toBe(11);
  });

  test.each([999, 3, 17])(
    "a GPU that opening answers with %p is 11, and named by its place",
    (rc) => {
      const state = { count: 2, gpus: { 1: { "rc.nvmlDeviceGetHandleByIndex_v2": rc } } };
      const { code, out } = on(state);
      expect(out.findings).toMatchObject([{ kind: "driver", reason: "unopened", gpu_index: 1 }]);
      expect([code, out.verdict, out.gpus.length]).toEqual([11, "unhealthy", 1]);
    },
  );

  const CACHED = ["HandleByIndex_v2", "UUID", "PciInfo_v3", "Name", "Serial", "MigMode"];
  test.each([
    [10, 11, "mute"],
    [999, 11, "mute"],
    [3, 12, "unread"],
    [4, 12, "unread"],
  ])("a GPU that opens and whose readings answer %p is %p", (code, exit, reason) => {
    const kept = Object.fromEntries(CACHED.map((name) => [`rc.nvmlDeviceGet${name}`, 0]));
    const { code: status, ms, out } = on({ count: 4, gpus: { 2: { rc: code, ...kept } } });
    expect(out.findings.filter(({ gpu_index }) => gpu_index === 2)).toMatchObject([{ reason }]);
    expect(status).toBe(exit);
    expect(ms).toBeLessThan(10_000);
  });

  test("one unknown error is read again and forgotten", () => {
    // The first check of a handle that is opened again finds it well.
    const flaky = { "rc.nvmlDeviceGetSerial": 999 };
    const { code, out } = on({ count: 2, gpus: { 1: flaky } });
    expect(out.findings).toMatchObject([{ reason: "unknown", gpu_index: 1 }]);
    expect(code).toBe(10);
    expect(on({ count: 2 }).code).toBe(0);
  });

  test("links that may not be read are 12, and no GPU without links", () => {
    const gpus = { 0: { "field.91": "rc:4" }, 1: { "field.91": "rc:4" } };
    const { code, out } = on({ count: 2, gpus });
    expect(out.findings).toMatchObject([{ reason: "permission", gpu_index: null }]);
    expect(code).toBe(12);
  });

  test.each([
    ["a temperature of 255 °C", { temp: 255, mem_temp: 255 }],
    ["2^32 - 1 memory errors", { "ecc.dbe.vol": 4_294_967_295, "ecc.sbe.vol": 4_294_967_295 }],
    ["a flag of all ones", { "remap.pending": 4_294_967_295, "remap.failure": 4_294_967_295 }],
    ["a negative count", { "field.4": "5:-1" }],
  ])("%s is no verdict", (_, gpu) => {
    const { code, out } = on({ count: 2, gpus: { 1: gpu } });
    expect([out.findings, code]).toEqual([[], 0]);
  });

  test("no GPU at all is 12, and 0 where none is expected", () => {
    const nowhere = join(scratch(), "none");
    const none = on({ count: 0 }, ["--host-sys", nowhere]);
    expect(none.out.findings).toMatchObject([{ kind: "driver", reason: "no_gpus" }]);
    expect(none.code).toBe(12);
    expect(on({ count: 0 }, ["--host-sys", nowhere, "--expected-gpus", "0"]).code).toBe(0);
  });

  /** A machine whose bus shows `count` GPUs, with one of them changed. */
  const bus = (count: number, change: Partial<SysfsDevice> = {}, index = 1): string => {
    const root = scratch();
    const devices = standInBus(count);
    writeSysfs(
      root,
      devices.map((device, i) => (i === index ? { ...device, ...change } : device)),
    );
    return root;
  };

  test("a GPU on the bus that the driver does not list is 11, with its kernel lines", () => {
    const pci = standInPci(3);
    const log = kernelLog(
      `NVRM: GPU ${pci}: RmInitAdapter failed! (0x26:0x56:1474)`,
      `NVRM: Xid (PCI:${pci.slice(0, -2)}): 79, GPU has fallen off the bus.`,
    );
    const { code, out } = on({ count: 3 }, ["--host-sys", bus(4), "--kernel-log", log]);
    expect(out.findings.map(({ kind, reason, code: xid }) => [kind, reason ?? xid])).toEqual([
      ["lost", "unlisted"],
      ["driver", "init"],
      ["xid", 79],
    ]);
    expect(out.findings.every((finding) => finding.pci === pci && !finding.foreign)).toBe(true);
    expect(out).toMatchObject({ verdict: "unhealthy", expected: { gpus: 4, from: "bus" } });
    expect(code).toBe(11);
  });

  test("no GPU listed on a machine that has four is 11", () => {
    const { code, out } = on({ count: 0 }, ["--host-sys", bus(4)]);
    expect(out.findings.map(({ reason }) => reason)).toEqual(Array(4).fill("unlisted"));
    expect(code).toBe(11);
  });

  test("a GPU that does not open has the address that is left over on the bus", () => {
    const state = { count: 4, gpus: { 2: { "rc.nvmlDeviceGetHandleByIndex_v2": 999 } } };
    const { out } = on(state, ["--host-sys", bus(4)]);
    expect(out.findings).toMatchObject([{ reason: "unopened", gpu_index: 2, pci: standInPci(2) }]);
  });

  test("a GPU of a virtual machine is none of the driver's; one of nouveau is 10", () => {
    const given = on({ count: 3 }, ["--host-sys", bus(4, { driver: "vfio-pci" }, 3)]);
    expect([given.code, given.out.findings]).toEqual([0, []]);
    const nouveau = on({ count: 3 }, ["--host-sys", bus(4, { driver: "nouveau" }, 3)]);
    expect(nouveau.out.findings).toMatchObject([{ kind: "driver", reason: "other_driver" }]);
    expect(nouveau.code).toBe(10);
  });

  test("excluded GPUs are not expected, by address or by number", () => {
    const root = bus(4);
    const named = { count: 3, excludedBus: [`0000${standInPci(3)}`] };
    expect(on(named, ["--host-sys", root]).code).toBe(0);
    expect(on({ count: 3 }, ["--host-sys", root]).code).toBe(11);
  });

  test("a bus that cannot be read condemns nothing, and --expected-gpus speaks", () => {
    const nowhere = join(scratch(), "none");
    const blind = on({ count: 3 }, ["--host-sys", nowhere]);
    expect(blind.out.probes).toContainEqual(
      expect.objectContaining({ name: "bus", outcome: "skipped" }),
    );
    expect(blind.code).toBe(0);
    const short = on({ count: 3 }, ["--host-sys", nowhere, "--expected-gpus", "4"]);
    expect(short.out.findings).toMatchObject([{ kind: "lost", reason: "count" }]);
    expect(short.out).toMatchObject({ expected: { gpus: 4, from: "option" } });
    expect(short.code).toBe(11);
  });

  const uptimeMs = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1_000;
  // Links train within ten minutes of a boot, which this machine may still be in.
  test.skipIf(uptimeMs < 630_000)("links that never came up are 11, on every GPU", () => {
    const links = Object.fromEntries(Array.from({ length: 18 }, (_, i) => [`link.${i}`, 0]));
    const gpu = { ...links, "fabric.state": 1 };
    const { code, out } = on({ count: 2, gpus: { 0: gpu, 1: gpu } });
    expect(out.findings.map(({ reason, gpu_index }) => [reason, gpu_index])).toEqual([
      ["down", 0],
      ["down", 1],
      ["fabric_pending", 0],
      ["fabric_pending", 1],
    ]);
    expect(out.probes).toContainEqual(expect.objectContaining({ name: "fabric" }));
    expect(code).toBe(11);
  });

  test("a crash of the library is 11 with finding driver/crashed", () => {
    const { code, out } = on({ count: 2, gpus: { 0: { crash: 1 } } });
    expect(out.findings).toMatchObject([{ kind: "driver", reason: "crashed" }]);
    expect(code).toBe(11);
  });

  test("a hang of the library is 11 with finding driver/unresponsive, within ten seconds", () => {
    const { code, out, ms } = on({ count: 2, gpus: { 0: { hang: 1 } } });
    expect(out.findings).toMatchObject([{ kind: "driver", reason: "unresponsive" }]);
    expect(code).toBe(11);
    expect(ms).toBeLessThan(10_000);
  }, 15_000);

  test("a mismatched library is 11, no permission is 12", () => {
    const mismatched = on({ initRc: 18 });
    expect(mismatched.out.findings).toMatchObject([{ kind: "driver", reason: "version" }]);
    expect(mismatched.code).toBe(11);
    const denied = on({ initRc: 17 });
    expect([denied.code, denied.out.verdict]).toEqual([12, "undetermined"]);
  });

  test("the long-running agent tells a hung library while heartbeats go on", async () => {
    const plane = new StubControlPlane().start();
    const world = openNvmlWorld(scratch(), { count: 2 });
    const running = startAgent(
      [
        "--server",
        plane.base,
        "--node-id",
        "n1",
        "--spool",
        scratch(),
        "--nvml-path",
        library ?? "",
        "--kernel-log",
        kernelLog(),
      ],
      { env: { ...ENV, ...world.env } },
    );
    try {
      await until("a heartbeat", () => plane.reports.length >= 2);
      expect(plane.reports[0]?.report.inventory?.gpus).toHaveLength(2);
      world.write({ count: 2, gpus: { 0: { hang: 1 } } });
      const from = plane.reports.length;
      await until(
        "the finding",
        () => plane.findings.some((finding) => finding.reason === "unresponsive"),
        12_000,
      );
      expect(plane.reports.length - from).toBeGreaterThan(5);
      world.write({ count: 2 });
      await until(
        "recovery",
        () => plane.reports.at(-1)?.report.check?.active.length === 0,
        12_000,
      );
      running.signal("SIGTERM");
      expect(await running.exited).toBe(0);
    } finally {
      running.signal("SIGKILL");
      await plane.stop();
    }
  }, 30_000);
});

describe("navarch-node --once", () => {
  test("no library is 11 with no GPUs, never a made-up one", () => {
    const { code, out } = once([
      "--nvml-path",
      "/nowhere/libnvidia-ml.so.1",
      "--kernel-log",
      kernelLog(),
    ]);
    expect(out).toMatchObject({ verdict: "unhealthy", simulated: false, gpus: [] });
    expect(out.findings).toMatchObject([{ kind: "driver", reason: "library" }]);
    expect(code).toBe(11);
  });

  test("simulated GPUs are marked", () => {
    const { code, out } = once([], { NAVARCH_FAKE_GPU: "true", NAVARCH_GPU_COUNT: "4" });
    expect([code, out.simulated, out.gpus.length]).toEqual([0, true, 4]);
  });

  test("flags that make no sense are 2, on stderr, naming the flag", () => {
    const cases: [string[], string][] = [
      [["--node-di", "x"], "did you mean --node-id?"],
      [["--node-id="], "--node-id"],
      [["--server", "ftp://x"], "--server"],
      [["--fake-gpus", "x"], "--fake-gpus"],
      [["--boot-id", "b"], "--fake-gpus"],
      [["--label", "x"], "--label"],
      [["--since", "yesterday"], "--since"],
      [["--metrics-addr", "0.0.0.0:9400"], "--metrics-insecure"],
      [["--nvml-path", "x.so"], "--nvml-path"],
      [["extra"], "extra"],
    ];
    for (const [argv, names] of cases) {
      const { code, stderr, stdout } = runAgent(argv);
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(names);
    }
    expect(runAgent(["--help"])).toMatchObject({ code: 0 });
    expect(runAgent(["-version"]).stdout).toStartWith("navarch-node ");
  });
});

describe.skipIf(library === null)("navarch-node --once on a machine with network ports", () => {
  /** Two adapters in a folder like /sys, the second down. */
  function ports(): string {
    const root = scratch();
    for (const [device, state] of [
      ["mlx5_0", "4: ACTIVE"],
      ["mlx5_1", "1: DOWN"],
    ] as const) {
      const port = join(root, "class/infiniband", device, "ports/1");
      mkdirSync(port, { recursive: true });
      writeFileSync(join(port, "state"), `${state}\n`);
      writeFileSync(join(port, "phys_state"), "5: LinkUp\n");
      writeFileSync(join(port, "rate"), "400 Gb/sec (4X NDR)\n");
      writeFileSync(join(port, "link_layer"), "InfiniBand\n");
    }
    return root;
  }

  const argv = (root: string) => {
    const world = openNvmlWorld(scratch(), { count: 2 });
    const flags = ["--nvml-path", library ?? "", "--host-sys", root, "--expected-ports", "2"];
    return { flags: [...flags, "--spool", scratch()], env: { ...ENV, ...world.env } };
  };

  test("a port that must be active and is not is 10, and leaves the GPUs alone", () => {
    const { env, flags } = argv(ports());
    const { code, out } = once([...flags, "--kernel-log", kernelLog()], env);
    const hosts = out.findings.filter(({ kind }) => kind === "host");
    expect(hosts).toMatchObject([{ reason: "port_down", gpu_index: null }]);
    expect([code, out.verdict]).toEqual([10, "degraded"]);
  });

  test("an OOM kill and a read-only disk in the log degrade, and name what they are about", () => {
    const log = kernelLog(
      "Out of memory: Killed process 4242 (python3) total-vm:1kB",
      "EXT4-fs (nvme9n1p1): Remounting filesystem read-only",
    );
    const { env, flags } = argv(scratch());
    const { code, out } = once([...flags, "--expected-ports", "0", "--kernel-log", log], env);
    const hosts = out.findings.filter(({ kind }) => kind === "host");
    expect(hosts.map(({ reason }) => reason)).toEqual(["oom", "read_only"]);
    expect(code).toBe(10);
  });

  test("--text is a summary of at most 80 columns, with the same exit status", () => {
    const log = kernelLog("NVRM: Xid (PCI:d432:c8:03): 79, \\x1b[2Jsomebody else's");
    const { env, flags } = argv(ports());
    const all = ["--once", "--text", "--node-id", "n1", ...flags, "--kernel-log", log];
    const { code, stdout } = runAgent(all, env);
    const lines = stdout.trimEnd().split("\n");
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(80);
    expect(lines[0]).toBe("node           n1: degraded");
    expect(stdout).toContain("GPUs           2 × NVIDIA H100 80GB HBM3");
    expect(stdout).toContain("network ports  1 × InfiniBand active 400 Gb/s, 1 × InfiniBand down");
    expect(stdout).toMatch(/^warning +1 of 2 network ports active/m);
    expect(stdout).toMatch(/^not judged +1 about devices/m);
    expect(stdout).not.toContain("\u001b");
    expect(code).toBe(10);
  });
});
