/** What the machine's programs are made of: names, settings, and texts that a shell can read. */
import { describe, expect, test } from "bun:test";
import { candidatesFrom, parseHub, formatClear, formatHub } from "./hub-script.ts";
import { parseNetwork, placeOf, spotOf } from "./place.ts";
import { imageDigest, formatSources } from "./recipe.ts";
import { formatBoot, formatEnd, quote, type MachinePlan } from "./script.ts";
import { formatSeedFiles } from "./seed.ts";
import { parseDisk, readMachineSettings } from "./setting.ts";

const place = placeOf("10.77", 5);
const spot = spotOf(place, 2);
const plan = (change: Partial<MachinePlan> = {}): MachinePlan => ({
  folder: "/tmp/bed/instance/machine-ab12-3",
  name: "node-3",
  image: "/tmp/image",
  disk: { kind: "disk" },
  place,
  spot,
  v2: "/sys/fs/cgroup/unified",
  trees: ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"],
  moreTrees: ["/sys/fs/cgroup/memory"],
  ...change,
});

/** What a POSIX shell says about a text without running it. */
function check(text: string): string {
  const ran = Bun.spawnSync(["/bin/sh", "-n"], { stdin: Buffer.from(text) });
  return `${ran.exitCode}${ran.stderr.toString()}`;
}

describe("placeOf() and spotOf()", () => {
  test("name everything by the bed's own prefix, in 15 characters where Linux wants it", () => {
    expect(place).toMatchObject({ prefix: "nvm5", hub: "nvm5-hub", gateway: "10.77.5.1" });
    expect(spot).toEqual({ number: 12, address: "10.77.5.12", name: "nvm5-12", link: "v12" });
    for (let turn = 0; turn < 1_000; turn += 1) {
      const { number, link } = spotOf(placeOf("10.77", 255), turn);
      expect(number >= 10 && number <= 249 && link.length <= 15).toBe(true);
    }
  });
});

describe("parseNetwork()", () => {
  test.each([
    ["10.77", { base: "10.77", number: null }],
    ["192.168.9", { base: "192.168", number: 9 }],
    ["172.31.255", { base: "172.31", number: 255 }],
  ] as const)("reads %s", (text, network) => {
    expect(parseNetwork(text)).toEqual(network);
  });

  test.each(["10", "8.8.8", "172.32", "10.256", "10.7.7.7", "10.077", "10.x", ""])(
    "refuses %p",
    (text) => expect(parseNetwork(text)).toBeNull(),
  );
});

describe("readMachineSettings()", () => {
  test("has a default for everything", () => {
    expect(readMachineSettings("m", {})).toEqual({
      stateDir: null,
      image: null,
      network: { base: "10.77", number: null },
      disk: { kind: "disk" },
      bootDelayMs: 0,
      gpuCount: 8,
      tellHostKeys: true,
    });
  });

  test.each([
    [{ tellHostKeys: "no" }, "providers.m.tellHostKeys: expected true or false"],
    [{ disk: "ext3" }, "providers.m.disk: expected disk, tmpfs:SIZE or ext4:SIZE"],
    [{ network: "8.8" }, "providers.m.network: expected two or three octets"],
    [{ image: "relative" }, "providers.m.image: expected an absolute path"],
    [{ stateDir: "/a:b" }, "providers.m.stateDir: expected an absolute path"],
    [{ gpuCount: 0.5 }, "providers.m.gpuCount: expected a whole number from 1"],
  ] as const)("names what is wrong with %p", (settings, message) => {
    expect(() => readMachineSettings("m", settings)).toThrow(message);
  });

  test("parseDisk() reads sizes", () => {
    expect(parseDisk("tmpfs:64M")).toEqual({ kind: "tmpfs", size: "64m" });
    expect(parseDisk("ext4:256m")).toEqual({ kind: "ext4", size: "256m" });
    for (const bad of ["tmpfs", "tmpfs:", "ext4:0m", "ext4:9", "disk:1m"]) {
      expect(parseDisk(bad)).toBeNull();
    }
  });
});

describe("formatBoot(), formatEnd(), formatHub() and formatClear()", () => {
  test("are programs that a POSIX shell reads", () => {
    const disks = [parseDisk("disk"), parseDisk("tmpfs:64m"), parseDisk("ext4:64m")];
    for (const disk of disks) {
      if (disk === null) throw new Error("no disk");
      expect(check(formatBoot(plan({ disk })))).toBe("0");
      expect(check(formatEnd(plan({ disk })))).toBe("0");
    }
    const network = { base: "10.77", number: null };
    const hub = { folder: "/tmp/bed", network, candidates: [1, 2], trees: ["/sys/fs/cgroup"] };
    expect(check(formatHub(hub))).toBe("0");
    expect(check(formatClear("/tmp/bed"))).toBe("0");
  });

  test("enter the machine's own groups before nspawn starts", () => {
    const text = formatBoot(plan());
    expect(text).toContain('echo 0 >"$tree/nvm5-12/cgroup.procs" || exit 75');
    expect(text.indexOf("|| exit 75")).toBeLessThan(text.indexOf("systemd-nspawn --quiet"));
  });

  test("loop on exit 133 and on nothing else", () => {
    expect(formatBoot(plan())).toContain('[ "$rc" = 133 ] || break');
  });

  test("quote() survives a shell", () => {
    for (const word of ["plain", "it's", 'a"b$c`d', "x y\nz", ""]) {
      const ran = Bun.spawnSync(["/bin/sh", "-c", `printf %s ${quote(word)}`]);
      expect(ran.stdout.toString()).toBe(word);
    }
  });

  test("parseHub() reads a number and nothing else", () => {
    const at = (number: number) => placeOf("10.77", number);
    expect(parseHub("7\n", at)?.gateway).toBe("10.77.7.1");
    expect(parseHub("", at)).toBeNull();
    expect(parseHub("no free network", at)).toBeNull();
  });

  test("candidatesFrom() tries every network once", () => {
    expect(candidatesFrom(200)[0]).toBe(200);
    expect(new Set(candidatesFrom(200)).size).toBe(256);
  });
});

describe("formatSeedFiles()", () => {
  test("tells services where their kernel log and credential are", () => {
    const files = new Map(
      formatSeedFiles({ name: "node-3", spot, gpuCount: 2, hasCredential: true }),
    );
    expect(files.get("etc/hostname")).toBe("node-3\n");
    expect(files.get("etc/hosts")).toContain("10.77.5.12 node-3\n");
    const told = files.get("etc/systemd/system.conf.d/10-navarch-test.conf") ?? "";
    expect(told).toContain('DefaultEnvironment="NAVARCH_KERNEL_LOG=/run/navarch-test/kmsg"');
    expect(told).toContain('DefaultEnvironment="NAVARCH_GPU_COUNT=2"');
    expect(told).toContain("/etc/navarch-node/credential");
  });
});

describe("formatSources()", () => {
  test("takes what the host's own apt uses", () => {
    const targets = "http://a/debian bookworm\nhttp://a/debian bookworm-updates\n\n";
    const own = formatSources(targets, "bookworm", "bookworm");
    expect(own.map((line) => line.split(" ").slice(-3).join(" "))).toEqual([
      "http://a/debian bookworm main",
      "http://a/debian bookworm-updates main",
    ]);
    const other = formatSources(targets, "trixie", "bookworm");
    expect(other).toHaveLength(1);
    expect(other[0]).toEndWith("http://a/debian trixie main");
  });

  test("imageDigest() differs by all that decides the content, not by its order", () => {
    const digest = imageDigest("bookworm", "x64", ["a", "b"]);
    expect(imageDigest("bookworm", "x64", ["b", "a"])).toBe(digest);
    const others = [
      imageDigest("trixie", "x64", ["a", "b"]),
      imageDigest("bookworm", "arm64", ["a", "b"]),
      imageDigest("bookworm", "x64", ["a"]),
    ];
    expect(new Set([digest, ...others]).size).toBe(4);
  });
});
