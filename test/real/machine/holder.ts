/**
 * Opens a bed with machines in it, prints where and of what it is, and waits to be killed: the test
 * that dies without a word. Argument: how many machines.
 */
import { openBed } from "./bed.ts";

const bed = await openBed({ disk: "ext4:64m" });
await bed.bootAll(Number(process.argv[2] ?? "1"));
console.log(JSON.stringify({ stateDir: bed.stateDir, ready: bed.ready }));
await new Promise(() => setInterval(() => undefined, 1_000));
