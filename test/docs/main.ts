/** `npm run docs`: writes the generated pages of `docs/` again. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { PAGES } from "./page.ts";

for (const [path, format] of Object.entries(PAGES)) {
  mkdirSync(dirname(join(ROOT, path)), { recursive: true });
  writeFileSync(join(ROOT, path), await format());
  console.log(path);
}
