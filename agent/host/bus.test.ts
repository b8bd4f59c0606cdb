import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBus } from "./bus.ts";
import { writeSysfs } from "../../test/fixture/nvml/sysfs.ts";

function scratch(): { root: string; [Symbol.dispose]: () => void } {
  const root = mkdtempSync(join(tmpdir(), "navarch-sysfs-"));
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

test("openBus() finds GPUs by vendor and class, and nothing else", () => {
  using at = scratch();
  writeSysfs(at.root, [
    { pci: "0000:18:00.0", class: "0x030200", driver: "nvidia" },
    { pci: "0000:3b:00.0", class: "0x030000", driver: null },
    { pci: "0000:5e:00.0", class: "0x030200", driver: "vfio-pci" },
    { pci: "0000:07:00.0", class: "0x068000", driver: "nvidia-nvswitch" },
    { pci: "0000:18:00.1", class: "0x040300", driver: "snd_hda_intel" },
    { pci: "0000:81:00.0", class: "0x020700", driver: "mlx5_core" },
    { pci: "0000:03:00.0", class: "0x030000", driver: "ast", vendor: "0x1a03" },
  ]);
  expect(openBus(at.root, undefined)()).toEqual({
    kind: "read",
    gpus: [
      { pci: "0000:18:00.0", driver: "nvidia" },
      { pci: "0000:3b:00.0", driver: null },
      { pci: "0000:5e:00.0", driver: "vfio-pci" },
    ],
  });
});

test("openBus() counts a GPU once, whatever shares of it are lent to guests", () => {
  using at = scratch();
  writeSysfs(at.root, [
    { pci: "0000:18:00.0", class: "0x030200", driver: "nvidia" },
    { pci: "0000:18:00.4", class: "0x030200", driver: "nvidia", physfn: "0000:18:00.0" },
  ]);
  expect(openBus(at.root, "all")()).toMatchObject({ gpus: [{ pci: "0000:18:00.0" }] });
});

test("openBus() tells a display adapter that the driver left alone from a GPU that is dead", () => {
  using at = scratch();
  const well = [0xde, 0x10, 0x81, 0x1b];
  const dead = [0xff, 0xff, 0xff, 0xff];
  const free = { driver: null };
  writeSysfs(at.root, [
    { pci: "0000:01:00.0", class: "0x030000", ...free, config: well },
    { pci: "0000:02:00.0", class: "0x030000", ...free, config: dead },
    { pci: "0000:03:00.0", class: "0x030000", ...free, config: [0xde] },
    { pci: "0000:04:00.0", class: "0x030200", ...free, config: well },
    { pci: "0000:05:00.0", class: "0x030000", driver: "nvidia", config: well },
  ]);
  const bus = openBus(at.root, undefined)();
  const refused = bus.kind === "read" ? bus.gpus.filter((gpu) => gpu.refused) : [];
  expect(refused.map(({ pci }) => pci)).toEqual(["0000:01:00.0"]);
});

test("openBus() sees what comes, leaves, and changes its driver", () => {
  using at = scratch();
  const read = openBus(at.root, undefined);
  const device = { pci: "0000:18:00.0", class: "0x030200", driver: null };
  writeSysfs(at.root, [device]);
  expect(read()).toMatchObject({ gpus: [{ driver: null }] });
  const folder = join(at.root, "bus/pci/devices/0000:18:00.0");
  symlinkSync("../../../bus/pci/drivers/nvidia", join(folder, "driver"));
  expect(read()).toMatchObject({ gpus: [{ driver: "nvidia" }] });
  rmSync(folder, { recursive: true });
  expect(read()).toEqual({ kind: "read", gpus: [] });
  // Another device in the same slot.
  writeSysfs(at.root, [{ ...device, class: "0x020000" }]);
  expect(read()).toEqual({ kind: "read", gpus: [] });
});

test("openBus() under CDI reads the bus if the container has every GPU, and not with some", () => {
  using at = scratch();
  writeSysfs(at.root, [
    { pci: "0000:18:00.0", class: "0x030200", driver: "nvidia" },
    { pci: "0000:3b:00.0", class: "0x030200", driver: "nvidia" },
    { pci: "0000:5e:00.0", class: "0x030200", driver: null },
  ]);
  const dev = join(at.root, "dev");
  mkdirSync(join(dev, "nvidia-caps"), { recursive: true });
  const read = openBus(at.root, "void", dev);
  for (const name of ["nvidia0", "nvidiactl", "nvidia-uvm"]) writeFileSync(join(dev, name), "");
  expect(read()).toMatchObject({ kind: "unreadable", restricted: true });
  writeFileSync(join(dev, "nvidia1"), "");
  expect(read()).toMatchObject({ kind: "read", gpus: { length: 3 } });
  // Named devices are a choice, whatever else is there.
  expect(openBus(at.root, "0", dev)()).toMatchObject({ restricted: true });
});

test("openBus() says why it knows nothing", () => {
  using at = scratch();
  expect(openBus(at.root, undefined)()).toMatchObject({
    kind: "unreadable",
    why: expect.stringContaining("ENOENT"),
  });
  mkdirSync(join(at.root, "bus/pci"), { recursive: true });
  writeFileSync(join(at.root, "bus/pci/devices"), "");
  expect(openBus(at.root, undefined)()).toMatchObject({ kind: "unreadable" });
  for (const visible of ["0,1", "GPU-1", "none"]) {
    expect(openBus(at.root, visible)()).toMatchObject({
      why: expect.stringContaining(`NVIDIA_VISIBLE_DEVICES=${visible}`),
    });
  }
});
