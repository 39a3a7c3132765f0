// node-vault-client: reads, writes and lists with a token and with AppRole, and renews its token by itself.

import assert from "node:assert/strict";
import VaultClient from "node-vault-client";
import { at, refused, step, user } from "./steps.mjs";

const status = (error) => error.response?.statusCode ?? error.statusCode ?? error.response?.status;
const api = { url: `${at.VAULT_ADDR}/` };
const boot = (name, type, config) => VaultClient.boot(name, { api, auth: { type, config }, logger: false });

const vault = boot("token", "token", { token: at.VAULT_TOKEN });

await step("token: the secret of the job", async () => {
  assert.deepEqual((await vault.read("secret/data/job/app")).getData().data, user);
});

await step("KV 2: write, read, list", async () => {
  await vault.write("secret/data/job/node-vault-client/app", { data: { a: "1" } });
  assert.deepEqual((await vault.read("secret/data/job/node-vault-client/app")).getData().data, { a: "1" });
  assert.deepEqual((await vault.list("secret/metadata/job/node-vault-client")).getData().keys, ["app"]);
});

await step("KV 1: write, read", async () => {
  await vault.write("kv1/job/node-vault-client", { a: "1" });
  assert.equal((await vault.read("kv1/job/node-vault-client")).getValue("a"), "1");
});

await step("refusals: 403 and 404", async () => {
  await refused(vault.read("secret/data/others/app"), 403, status);
  await refused(vault.read("secret/data/job/nowhere"), 404, status);
});

await step("login: AppRole", async () => {
  const job = boot("approle", "appRole", { role_id: at.ROLE_ID, secret_id: at.SECRET_ID });
  assert.deepEqual((await job.read("secret/data/job/app")).getData().data, user);
});

process.exit(0); // its timers for renewal would keep the program alive
