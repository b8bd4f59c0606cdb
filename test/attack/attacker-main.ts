/** One attack in a process of its own; the result is one line of JSON. */
import * as v from "valibot";
import { Attacker } from "./attacker.ts";
import { AttackOrder } from "./order.ts";

const order = v.parse(AttackOrder, await Bun.file(process.argv[2] ?? "").json());
console.log(JSON.stringify(await new Attacker(order).run()));
process.exit(0);
