/**
 * `npm run machine`: throw-away Debian machines to play with, until Ctrl-C. `-- 5` makes five, and
 * `-- --build` only builds the image, which takes a minute once.
 */
import { buildMachineNavarch } from "../../fixture/machine/build.ts";
import { whyNoMachines } from "../../fixture/machine/image.ts";
import { openBed } from "./bed.ts";
import { MORE_PACKAGES, prepareBed } from "./gate.ts";
import { KERNEL_LOG } from "../../fixture/machine/script.ts";

const USAGE = `npm run machine            three machines until Ctrl-C
npm run machine -- 10      ten of them, 50 at most
npm run machine -- --build only build what they need; --build all: what every test needs`;

/** Each takes 15 MB and half a second of a core to boot. */
const COUNT_MAX = 50;

function die(why: string): never {
  console.error(`machine: ${why}\n\n${USAGE}`);
  process.exit(1);
}

async function serve(count: number): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => resolve());
  });
  const bed = await openBed();
  try {
    const all = await bed.bootAll(count);
    for (const machine of all) {
      await machine.waitSsh();
      const target = `ubuntu@${machine.address}`;
      console.log(["ssh", ...machine.sshArguments(), target].join(" "));
    }
    console.log(`
They reach this computer at ${bed.gateway} and nothing else. Users: root, ubuntu (sudo), plain (no
sudo). A machine's kernel log is ${KERNEL_LOG} inside, and the file kmsg of its folder under
${bed.stateDir}/instance outside; console.log lies beside it.

Ctrl-C ends them and removes everything.`);
    await stopped;
  } finally {
    const left = await bed.close();
    if (left.length > 0) die(`left behind: ${left.join(", ")}`);
  }
  console.log("machine: ended, nothing left");
}

const [first = "3", ...rest] = process.argv.slice(2);
const why = whyNoMachines();
if (why !== null) die(why);
const isAll = first === "--build" && rest.join(" ") === "all";
if (rest.length > 0 && !isAll) die(`unknown arguments ${rest.join(" ")}`);
if (first === "--build") {
  try {
    console.log(await prepareBed());
    console.log(await buildMachineNavarch());
    if (isAll) console.log(await prepareBed({ packages: MORE_PACKAGES }));
  } catch (error) {
    die(error instanceof Error ? error.message : String(error));
  }
} else {
  const count = /^\d+$/.test(first) ? Number(first) : 0;
  if (count < 1 || count > COUNT_MAX) die(`${first}: expected a number from 1 to ${COUNT_MAX}`);
  await serve(count);
}
process.exit();
