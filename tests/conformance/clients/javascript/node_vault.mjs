// node-vault: tokens, both logins, both versions of KV, wrapping, and what it makes of refusals.

import assert from "node:assert/strict";
import connect from "node-vault";
import { at, refused, step, user } from "./steps.mjs";

const as = (token) => connect({ endpoint: at.VAULT_ADDR, token });
const vault = as(at.VAULT_TOKEN);
const status = (error) => error.response.statusCode;

await step("health and seal status", async () => {
  assert.equal((await vault.health()).sealed, false);
  assert.equal((await vault.status()).initialized, true);
  assert.equal((await vault.initialized()).initialized, true);
});

await step("KV 2: write, read, patch, list, old versions", async () => {
  const written = await vault.write("secret/data/job/node-vault/app", { data: { a: "1", b: "x" } });
  assert.equal(written.data.version, 1);
  await vault.update("secret/data/job/node-vault/app", { data: { a: "2" } });
  assert.deepEqual((await vault.read("secret/data/job/node-vault/app")).data.data, { a: "2", b: "x" });
  assert.deepEqual((await vault.read("secret/data/job/node-vault/app?version=1")).data.data, { a: "1", b: "x" });
  assert.deepEqual((await vault.list("secret/metadata/job/node-vault")).data.keys, ["app"]);
});

await step("KV 2: a wrong version is refused with 400", () =>
  refused(vault.write("secret/data/job/node-vault/app", { data: {}, options: { cas: 7 } }), 400, status));

await step("KV 2: destroy, delete, remove", async () => {
  await vault.destroySecretVersions({ path: "job/node-vault/app", versions: [1] });
  await refused(vault.read("secret/data/job/node-vault/app?version=1"), 404, status);
  await vault.delete("secret/data/job/node-vault/app");
  await refused(vault.read("secret/data/job/node-vault/app"), 404, status);
  await vault.delete("secret/metadata/job/node-vault/app");
  await refused(vault.list("secret/metadata/job/node-vault"), 404, status);
});

await step("KV 1: write, read, list by GET, delete", async () => {
  await vault.write("kv1/job/node-vault", { value: "world", lease: "1s" });
  assert.deepEqual((await vault.read("kv1/job/node-vault")).data, { value: "world", lease: "1s" });
  const plain = connect({ endpoint: at.VAULT_ADDR, token: at.VAULT_TOKEN, noCustomHTTPVerbs: true });
  assert.ok((await plain.list("kv1/job")).data.keys.includes("node-vault"));
  await vault.delete("kv1/job/node-vault");
  await refused(vault.read("kv1/job/node-vault"), 404, status);
});

await step("another team's secret is refused with 403", () => refused(vault.read("secret/data/others/app"), 403, status));

await step("a token: create, look up, renew, revoke", async () => {
  // A client takes over the token that it creates or renews.
  const made = (await as(at.VAULT_TOKEN).tokenCreate({ policies: ["job"], ttl: "10m", meta: { run: "7" } })).auth;
  assert.equal((await vault.tokenLookup({ token: made.client_token })).data.meta.run, "7");
  const own = as(made.client_token);
  assert.equal((await own.tokenLookupSelf()).data.accessor, made.accessor);
  assert.equal((await own.tokenRenewSelf({ increment: 300 })).auth.lease_duration, 300);
  assert.equal((await as(at.VAULT_TOKEN).tokenRenew({ token: made.client_token, increment: 120 })).auth.lease_duration, 120);
  await own.tokenRevokeSelf();
  await refused(own.tokenLookupSelf(), 403, status);
});

await step("wrapping: an answer is opened once", async () => {
  const { wrap_info } = await vault.read("secret/data/job/app", { headers: { "X-Vault-Wrap-TTL": "60s" } });
  const holder = as(wrap_info.token);
  assert.deepEqual((await holder.unwrap()).data.data, user);
  await refused(holder.unwrap(), 400, status);
});

await step("login: AppRole", async () => {
  const job = connect({ endpoint: at.VAULT_ADDR });
  await job.approleLogin({ role_id: at.ROLE_ID, secret_id: at.SECRET_ID });
  assert.deepEqual((await job.read("secret/data/job/app")).data.data, user);
  await refused(job.approleLogin({ role_id: at.ROLE_ID, secret_id: "wrong" }), 400, status);
});

await step("login: userpass", async () => {
  const person = connect({ endpoint: at.VAULT_ADDR });
  await person.userpassLogin({ username: at.USER_NAME, password: at.USER_PASSWORD });
  assert.deepEqual((await person.read("kv1/job/app")).data, user);
  await refused(person.userpassLogin({ username: at.USER_NAME, password: "wrong" }), 400, status);
});

await step("token renewal in the background", async () => {
  const made = (await as(at.VAULT_TOKEN).tokenCreate({ policies: ["job"], ttl: "2s" })).auth;
  const own = as(made.client_token);
  const renewed = new Promise((resolve, reject) => {
    own.once("token:renewed", resolve);
    own.once("token:error:renew", reject);
  });
  const alive = setInterval(() => {}, 1000); // its own timer does not keep a program running
  await own.startTokenRenewal({ increment: 600 });
  assert.equal((await renewed).auth.lease_duration, 600);
  own.stopTokenRenewal();
  clearInterval(alive);
});
