/** The machine around the GPUs: read from a folder made like /proc and /sys, and judged. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { BootId } from "../../schema/id.ts";
import { localMounts } from "./mount.ts";
import { EMPTY_HOST_MEMORY, type HostContext, type HostMemory } from "./probe.ts";
import { openHost } from "./read.ts";
import { type HostReading, type NetworkPort, NOTHING_READ } from "./reading.ts";
import { HostWatch, lookAtHost } from "./watch.ts";
import { loadMemory, type StateFiles } from "../spool/state-file.ts";

const home = mkdtempSync(join(tmpdir(), "navarch-host-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const clock = {
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

let machines = 0;
/** A machine of its own, with these files. */
function machine(files: Record<string, string>) {
  const root = join(home, `machine-${machines++}`);
  mkdirSync(root);
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const [path, text] of Object.entries(files)) put(path, text);
  const roots = { proc: join(root, "proc"), sys: join(root, "sys"), root };
  return { root, put, read: openHost(roots, clock) };
}

function port(device: string, change: Record<string, string> = {}): Record<string, string> {
  const files = {
    link_layer: "InfiniBand\n",
    state: "4: ACTIVE\n",
    phys_state: "5: LinkUp\n",
    rate: "400 Gb/sec (4X NDR)\n",
    "counters/link_downed": "0\n",
    ...change,
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [
      `sys/class/infiniband/${device}/ports/1/${name}`,
      text,
    ]),
  );
}

/** `DEVICE PLACE TYPE OPTIONS` as lines of mountinfo; each mount is read-only for this process. */
function info(...mounts: string[]): string {
  return mounts
    .map((mount, i) => {
      const [device, path, type, options] = mount.split(" ");
      return `${30 + i} 1 8:${i} / ${path} ro,relatime shared:${i} - ${type} ${device} ${options}\n`;
    })
    .join("");
}

const HOUR_MS = 3_600_000;
const at = (change: Partial<HostContext> = {}): HostContext => ({
  bootId: v.parse(BootId, "b1"),
  wallMs: 1_800_000_000_000,
  monoMs: 24 * HOUR_MS,
  uptimeMs: 24 * HOUR_MS,
  simulated: false,
  expectedPorts: null,
  ...change,
});

const said = (round: ReturnType<typeof lookAtHost>) =>
  round.findings.map(({ reason, severity }) => `${reason} ${severity}`);

describe("openHost()", () => {
  test("reads ports, file systems, panics and the module", async () => {
    const { read, put, root } = machine({
      ...port("mlx5_0"),
      ...port("mlx5_1", { state: "1: DOWN\n", phys_state: "3: Disabled\n", rate: "10 Gb/sec\n" }),
      ...port("rocep1", { link_layer: "Ethernet\n", rate: "200 Gb/sec (4X HDR)\n" }),
      ...port("mlx5_vf"),
      "sys/class/infiniband/mlx5_vf/device/physfn/vendor": "0x15b3",
      "sys/module/nvidia_peermem/refcnt": "3",
      "sys/fs/pstore/dmesg-efi-1": "Panic#1",
      "sys/fs/pstore/console-ramoops-0": "no panic",
      "proc/1/mountinfo": info("/dev/x / ext4 rw", "server:/v /mnt nfs4 rw"),
    });
    put("anything", "x");
    utimesSync(join(root, "sys/fs/pstore/dmesg-efi-1"), 1_700_000_000, 1_700_000_000);
    const reading = await read(5_000);
    expect(reading.late).toEqual([]);
    expect(reading.ports).toEqual([
      {
        name: "mlx5_0/1",
        layer: "InfiniBand",
        state: "ACTIVE",
        physical: "LinkUp",
        gigabits: 400,
        linkDowned: 0,
      },
      expect.objectContaining({ name: "mlx5_1/1", state: "DOWN", physical: "Disabled" }),
      expect.objectContaining({ name: "rocep1/1", layer: "Ethernet", gigabits: 200 }),
    ]);
    expect(reading.peermem).toBe(true);
    expect(reading.panics).toEqual([{ name: "dmesg-efi-1", atMs: 1_700_000_000_000 }]);
    expect(reading.fileSystems).toMatchObject([{ path: "/", type: "ext4", readOnly: false }]);
    expect(reading.fileSystems?.[0]?.usedRatio).toBeGreaterThan(0);
  });

  test("takes the mounts of its own process where the node's cannot be read", async () => {
    const { read } = machine({ "proc/self/mountinfo": info("/dev/x /tmp ext4 rw") });
    const { fileSystems } = await read(5_000);
    expect(fileSystems).toMatchObject([{ path: "/tmp", readOnly: false }]);
    expect(fileSystems?.[0]?.usedRatio).toBeGreaterThanOrEqual(0);
  });

  test("says nothing of what is not there", async () => {
    const { read } = machine({ "sys/empty": "" });
    expect(await read(5_000)).toEqual({
      ports: [],
      fileSystems: null,
      panics: [],
      peermem: null,
      late: [],
    });
  });

  test("answers in time while a file of a driver does not, and asks no more until it does", async () => {
    const { read, root } = machine({
      ...port("mlx5_0"),
      "proc/1/mountinfo": info("/dev/x / ext4 rw"),
    });
    const state = join(root, "sys/class/infiniband/mlx5_0/ports/1/state");
    rmSync(state);
    // A read of a FIFO that nothing writes to waits as one of a dead adapter's firmware does.
    expect(Bun.spawnSync(["mkfifo", state]).success).toBe(true);
    const startMs = performance.now();
    const first = await read(200);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(first).toMatchObject({ ports: null, late: ["port"], peermem: null });
    expect(first.fileSystems).toHaveLength(1);
    // The one that is underway is not joined by a second.
    expect(await read(50)).toEqual({ ...NOTHING_READ, late: ["port"] });
    const writer = Bun.spawn(["sh", "-c", `echo '4: ACTIVE' > ${state}`]);
    await writer.exited;
    rmSync(state);
    writeFileSync(state, "1: DOWN\n");
    expect(await read(5_000)).toMatchObject({ late: [], ports: [{ state: "DOWN" }] });
  });
});

describe("localMounts()", () => {
  const paths = (text: string) => localMounts(text).map(({ path }) => path);

  test("leaves out networks, everything below them, and volumes of pods", () => {
    const text = info(
      "proc /proc proc rw",
      "/dev/nvme0n1p1 / ext4 rw",
      "overlay /var/lib/docker/overlay2/x/merged overlay rw",
      "tmpfs /run tmpfs rw",
      "server:/data /data nfs4 rw,hard",
      "/dev/nvme1n1 /data/scratch xfs rw",
      "/dev/nvme2n1 /database xfs rw",
      "10.0.0.1@tcp:/fs /lustre lustre rw",
      "beegfs_nodev /mnt/beegfs beegfs rw",
      "gpfs0 /gpfs gpfs rw",
      "s3fs /bucket fuse.s3fs rw",
      "/dev/sdb1 /bucket/local ext4 rw",
      "/dev/nvme3n1 /var/lib/kubelet/pods/u/volumes/x/mount ext4 rw",
      "/dev/nvme4n1 /mnt/with\\040space ext4 ro,relatime",
    );
    expect(paths(text)).toEqual(["/", "/database", "/mnt/with space"]);
  });

  test("looks below a root that is an image or a layer", () => {
    for (const root of ["erofs", "squashfs", "overlay", "tmpfs", "rootfs"]) {
      const text = info(`none / ${root} ro`, "/dev/a /var ext4 rw");
      expect([root, paths(text)]).toEqual([root, ["/var"]]);
    }
    // A machine whose root is a network's is asked about nothing.
    expect(paths(info("server:/root / nfs rw", "/dev/a /var ext4 rw"))).toEqual([]);
  });

  test("takes a device once, and of two mounts at one place the upper", () => {
    const text = info(
      "/dev/a / ext4 rw",
      "/dev/a /bind/of/root ext4 rw",
      "/dev/b /x ext4 rw",
      "/dev/c /x xfs ro",
      "pool/home /home zfs rw",
      "pool/tmp /tmp zfs rw",
    );
    expect(localMounts(text)).toEqual([
      { path: "/", device: "/dev/a", type: "ext4", readOnly: false },
      { path: "/x", device: "/dev/c", type: "xfs", readOnly: true },
      { path: "/tmp", device: "pool/tmp", type: "zfs", readOnly: false },
      { path: "/home", device: "pool/home", type: "zfs", readOnly: false },
    ]);
  });

  test("reads at most 64, whatever the text", () => {
    const many = Array.from({ length: 1_000 }, (_, i) => `/dev/${i} /m/${i} ext4 rw`);
    expect(paths(info(...many))).toHaveLength(64);
    expect(paths("one\n two\n\n\u0000")).toEqual([]);
  });
});

describe("lookAtHost() at ports", () => {
  const up = (name: string, change: Partial<NetworkPort> = {}): NetworkPort => ({
    name,
    layer: "InfiniBand",
    state: "ACTIVE",
    physical: "LinkUp",
    gigabits: 400,
    linkDowned: 0,
    ...change,
  });
  const down = (name: string) => up(name, { state: "DOWN", physical: "Polling", gigabits: 10 });
  const reading = (...ports: NetworkPort[]): HostReading => ({ ...NOTHING_READ, ports });
  const seen = (...ports: NetworkPort[]): HostMemory =>
    lookAtHost(reading(...ports), EMPTY_HOST_MEMORY, at()).memory;

  test("a port that never was active is not expected", () => {
    const round = lookAtHost(reading(up("a/1"), down("b/1")), EMPTY_HOST_MEMORY, at());
    expect(said(round)).toEqual([]);
    expect(Object.keys(round.memory.ports)).toEqual(["a/1"]);
  });

  test("a port that was active and is down is told once, and is over when it is up", () => {
    const first = lookAtHost(reading(up("a/1"), down("b/1")), seen(up("a/1"), up("b/1")), at());
    expect(said(first)).toEqual(["port_down warning"]);
    expect(first.findings[0]).toMatchObject({ kind: "host", gpu_uuid: null });
    expect(first.findings[0]?.message).toContain("b/1 (DOWN, Polling)");
    expect(first.active).toEqual(["host/port_down/node"]);
    const again = lookAtHost(reading(up("a/1"), down("b/1")), first.memory, at());
    expect([said(again), again.active]).toEqual([[], ["host/port_down/node"]]);
    const worse = lookAtHost(reading(down("a/1"), down("b/1")), again.memory, at());
    expect(said(worse)).toEqual(["port_down warning"]);
    const over = lookAtHost(reading(up("a/1"), up("b/1")), worse.memory, at());
    expect([said(over), over.active]).toEqual([[], []]);
  });

  test("an adapter that is gone after a boot is missed, once links have had time to train", () => {
    const before = seen(up("a/1"), up("b/1"));
    const boot = { bootId: v.parse(BootId, "b2"), monoMs: 60_000, uptimeMs: 60_000 };
    const early = lookAtHost(reading(up("a/1")), before, at(boot));
    expect(said(early)).toEqual([]);
    const later = { ...boot, monoMs: 400_000, uptimeMs: 400_000 };
    const round = lookAtHost(reading(up("a/1")), early.memory, at(later));
    expect(said(round)).toEqual(["port_missing serious"]);
    // All gone is a finding, too, and not a machine without adapters.
    expect(said(lookAtHost(reading(), early.memory, at(later)))).toEqual(["port_missing serious"]);
  });

  test("ports under other names are the same ports, if as many are active", () => {
    const renamed = lookAtHost(reading(up("x/1"), up("y/1")), seen(up("a/1"), up("b/1")), at());
    expect(said(renamed)).toEqual([]);
    expect(Object.keys(renamed.memory.ports)).toEqual(["x/1", "y/1"]);
  });

  test("a number that was said decides, and 0 ends the matter", () => {
    const two = reading(up("a/1"), down("b/1"));
    const expecting = (expectedPorts: number) =>
      said(lookAtHost(two, seen(up("a/1"), up("b/1")), at({ expectedPorts })));
    expect(expecting(1)).toEqual([]);
    expect(expecting(0)).toEqual([]);
    expect(expecting(2)).toEqual(["port_down warning"]);
    const fresh = lookAtHost(reading(), EMPTY_HOST_MEMORY, at({ expectedPorts: 8 }));
    expect(fresh.findings[0]?.message).toBe("0 of 8 network ports active");
  });

  test("a rate below the best, and a link that goes down again and again", () => {
    const slow = lookAtHost(reading(up("a/1", { gigabits: 200 })), seen(up("a/1")), at());
    expect(said(slow)).toEqual(["port_rate warning"]);
    const flaps = (linkDowned: number) =>
      said(
        lookAtHost(reading(up("a/1", { linkDowned })), seen(up("a/1")), at({ monoMs: 87_000_000 })),
      );
    expect([flaps(2), flaps(3)]).toEqual([[], ["port_flap warning"]]);
  });

  test("ports that could not be read end nothing and start nothing", () => {
    const first = lookAtHost(reading(down("a/1")), seen(up("a/1")), at());
    const blind = lookAtHost({ ...NOTHING_READ, late: ["port"] }, first.memory, at());
    expect([said(blind), blind.active]).toEqual([[], ["host/port_down/node"]]);
    expect(blind.results.find(({ name }) => name === "network_port")?.outcome).toBe("timeout");
  });
});

describe("lookAtHost() at file systems, panics and the module", () => {
  const disk = (change: object = {}) => ({
    path: "/",
    device: "/dev/a",
    type: "ext4",
    readOnly: false,
    usedRatio: 0.5,
    inodesUsedRatio: 0.1,
    freeBytes: 50 * 2 ** 30,
    ...change,
  });
  const with_ = (...fileSystems: ReturnType<typeof disk>[]): HostReading => ({
    ...NOTHING_READ,
    fileSystems,
  });
  const look = (reading: HostReading, memory = EMPTY_HOST_MEMORY, ctx = at()) =>
    lookAtHost(reading, memory, ctx);

  test.each([
    [{ usedRatio: 0.96, freeBytes: 2 ** 30 }, ["full warning"]],
    // A share of a large disk is still days of room.
    [{ usedRatio: 0.96, freeBytes: 2 ** 40 }, []],
    [{ usedRatio: 0.995, freeBytes: 2 ** 40 }, ["full serious"]],
    [{ inodesUsedRatio: 0.999 }, ["full serious"]],
    [{ usedRatio: null, inodesUsedRatio: null, freeBytes: null }, []],
    [{ readOnly: true, usedRatio: 1 }, []],
  ])("judges %j", (change, expected) => {
    expect(said(look(with_(disk(change))))).toEqual(expected);
  });

  test("a file system made read-only is well, one that became so is not", () => {
    expect(said(look(with_(disk({ readOnly: true }))))).toEqual([]);
    const { memory } = look(with_(disk(), disk({ path: "/data", device: "/dev/b" })));
    const data = with_(disk(), disk({ path: "/data", device: "/dev/b", readOnly: true }));
    const first = look(data, memory);
    expect(said(first)).toEqual(["read_only serious"]);
    expect([said(look(data, first.memory)), look(data, first.memory).active]).toEqual([
      [],
      ["host/read_only/node"],
    ]);
    expect(said(look(with_(disk({ readOnly: true })), memory))).toEqual(["root_read_only fatal"]);
    // The next boot decides again what is writable.
    const boot = at({ bootId: v.parse(BootId, "b2") });
    expect(said(look(with_(disk({ readOnly: true })), memory, boot))).toEqual([]);
  });

  test("a root that is only writable for the length of an update is well", () => {
    const sealed = with_(disk({ readOnly: true }));
    const open = with_(disk());
    let memory = EMPTY_HOST_MEMORY;
    const rounds = [sealed, open, sealed, open, sealed].map((reading) => {
      const round = look(reading, JSON.parse(JSON.stringify(memory)));
      ({ memory } = round);
      return said(round);
    });
    expect(rounds).toEqual([[], [], [], [], []]);
    // What another boot showed first says nothing of this one.
    const boot = at({ bootId: v.parse(BootId, "b2") });
    const writable = look(open, memory, boot);
    expect(said(look(sealed, writable.memory, boot))).toEqual(["root_read_only fatal"]);
  });

  test("a file system that does not answer is told, and what was told before still holds", () => {
    const { memory } = look(with_(disk({ usedRatio: 1, freeBytes: 0 })));
    const stuck = look({ ...NOTHING_READ, late: ["file_system", "port"] }, memory);
    expect(said(stuck)).toEqual(["file_system_stuck warning"]);
    expect(stuck.active).toContain("host/full/node");
  });

  test("a panic is told in the first hour of the boot after it, and not of an older one", () => {
    const bootMs = 1_800_000_000_000 - 600_000;
    const panics = (atMs: number) => ({ ...NOTHING_READ, panics: [{ name: "dmesg-efi-1", atMs }] });
    const early = at({ uptimeMs: 600_000 });
    expect(said(look(panics(bootMs - 600_000), undefined, early))).toEqual(["panic serious"]);
    expect(said(look(panics(bootMs + 5_000), undefined, early))).toEqual(["panic serious"]);
    expect(said(look(panics(bootMs - 86_400_000), undefined, early))).toEqual([]);
    expect(said(look(panics(1_800_000_000_000), undefined, at()))).toEqual([]);
  });

  test("the module is missed only where it was, and where there are ports", () => {
    const ports = [
      { name: "a/1", layer: null, state: "ACTIVE", physical: null, gigabits: 1, linkDowned: 0 },
    ];
    const loaded = look({ ...NOTHING_READ, ports, peermem: true });
    expect(said(look({ ...NOTHING_READ, ports, peermem: false }))).toEqual([]);
    expect(said(look({ ...NOTHING_READ, ports, peermem: false }, loaded.memory))).toEqual([
      "peermem warning",
    ]);
    expect(
      said(
        look(
          { ...NOTHING_READ, ports: [], peermem: false },
          {
            ...EMPTY_HOST_MEMORY,
            peermem: true,
          },
        ),
      ),
    ).toEqual([]);
  });
});

describe("HostWatch", () => {
  test("saves what is worth it, and goes on from what was saved", async () => {
    const { read, put } = machine(port("mlx5_0"));
    const saved: string[] = [];
    const load = (text: string | null) => {
      const files: StateFiles = { load: () => text, save: () => null };
      return loadMemory(files, "host.json", EMPTY_HOST_MEMORY);
    };
    const open = (text: string | null) =>
      new HostWatch({
        read,
        memory: load(text),
        save: (memory) => void saved.push(JSON.stringify(memory)),
        expectedPorts: null,
      });
    const watch = open(null);
    expect(await watch.look(at())).toEqual([]);
    expect(watch.changed).toBe(true);
    expect(saved).toEqual([]);
    watch.save();
    expect(saved).toHaveLength(1);
    put("sys/class/infiniband/mlx5_0/ports/1/counters/link_downed", "1");
    expect(await watch.look(at())).toEqual([]);
    expect(watch.changed).toBe(false);
    put("sys/class/infiniband/mlx5_0/ports/1/state", "1: DOWN\n");
    const next = open(saved.at(-1) ?? null);
    expect((await next.look(at())).map(({ reason }) => reason)).toEqual(["port_down"]);
    expect(await next.look(at())).toEqual([]);
    next.reportAgain();
    expect((await next.look(at())).map(({ reason }) => reason)).toEqual(["port_down"]);
    expect(load("{")).toEqual(EMPTY_HOST_MEMORY);
  });
});
