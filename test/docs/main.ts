/** `npm run docs`: writes the generated pages of `docs/` again. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { PAGES } from "./page.ts";

for (const [path, format] of Object.entries(PAGES)) {
  writeFileSync(join(ROOT, path), await format());
  console.log(path);
}
