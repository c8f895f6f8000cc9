// SPDX-License-Identifier: GPL-2.0
/*
 * The lock: from LOCK on, what weakens the guard needs the mirror's seal, whoever asks. The byte
 * string that a seal is over is documented in include/uapi/heliograph.h. All with hg_net.lock.
 *
 * While a guard is locked the module is in use. The kernel's own HMAC is asked for when it is
 * needed, so that a kernel without it loads the module all the same, and only refuses LOCK.
 */
#include "guard.h"

#include <crypto/algapi.h> /* crypto_memneq() */
#include <crypto/hash.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>

static const char label[] = "heliograph seal";

static struct crypto_shash *hmac_new(const u8 key[HG_KEY_LENGTH])
{
	struct crypto_shash *tfm;
	int ret;

	if (!IS_ENABLED(CONFIG_CRYPTO_HASH))
		return ERR_PTR(-ENOENT);
	tfm = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(tfm))
		return tfm;
	ret = crypto_shash_setkey(tfm, key, HG_KEY_LENGTH);
	if (!ret)
		return tfm;
	crypto_free_shash(tfm);
	return ERR_PTR(ret);
}

/* The MAC over label, counter, command and n bytes of attributes. */
static int mac_of(const u8 key[HG_KEY_LENGTH], u64 counter, u8 command, const void *attributes,
		  u32 n, u8 mac[32])
{
	struct crypto_shash *tfm = hmac_new(key);
	struct shash_desc *desc;
	__be64 big = cpu_to_be64(counter);
	int ret = -ENOMEM;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	desc = kzalloc(sizeof(*desc) + crypto_shash_descsize(tfm), GFP_KERNEL);
	if (!desc)
		goto out;
	desc->tfm = tfm;
	ret = crypto_shash_init(desc);
	if (!ret)
		ret = crypto_shash_update(desc, label, sizeof(label) - 1);
	if (!ret)
		ret = crypto_shash_update(desc, (const u8 *)&big, sizeof(big));
	if (!ret)
		ret = crypto_shash_update(desc, &command, 1);
	if (!ret)
		ret = crypto_shash_update(desc, attributes, n);
	if (!ret)
		ret = crypto_shash_final(desc, mac);
	kfree_sensitive(desc);
out:
	crypto_free_shash(tfm);
	return ret;
}

/*
 * Locks with this key, or changes the key of a lock whose seal was checked. The counter of a lock
 * never goes back: its key may be the same as before.
 */
int hg_lock_close(struct hg_guard *g, const u8 *key, u64 after, struct netlink_ext_ack *extack)
{
	struct crypto_shash *tfm = hmac_new(key);

	if (IS_ERR(tfm)) {
		NL_SET_ERR_MSG(extack, "this kernel has no hmac(sha256), which checks seals");
		return -EOPNOTSUPP;
	}
	crypto_free_shash(tfm);
	if (!g->lock.locked)
		__module_get(THIS_MODULE);
	g->lock.locked = true;
	g->lock.counter = max(after, g->lock.counter); /* 0 if it was not locked */
	memcpy(g->lock.key, key, HG_KEY_LENGTH);
	return 0;
}

void hg_lock_open(struct hg_guard *g)
{
	if (!g->lock.locked)
		return;
	memzero_explicit(&g->lock, sizeof(g->lock));
	module_put(THIS_MODULE);
}

/* May this command be done? If the guard is locked, only with a good seal, which is used up. */
int hg_lock_check(struct hg_guard *g, struct genl_info *info)
{
	struct nlattr *a = info->attrs[HG_A_SEAL];
	const u8 *begin = genlmsg_data(info->genlhdr), *end;
	struct hg_seal seal;
	u8 mac[32];
	int ret;

	if (!g->lock.locked)
		return 0;
	if (!a) {
		NL_SET_ERR_MSG(info->extack, "the guard is locked: this needs the mirror's SEAL");
		return -EACCES;
	}
	end = (const u8 *)nlmsg_data(info->nlhdr) + nlmsg_len(info->nlhdr);
	if ((const u8 *)a + nla_total_size(sizeof(seal)) != end) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "SEAL must be the last attribute");
		return -EINVAL;
	}
	memcpy(&seal, nla_data(a), sizeof(seal));
	if (seal.counter <= g->lock.counter) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "the seal's counter was used before");
		return -EACCES;
	}
	ret = mac_of(g->lock.key, seal.counter, info->genlhdr->cmd, begin, (const u8 *)a - begin,
		     mac);
	if (ret) {
		NL_SET_ERR_MSG(info->extack, "the seal could not be checked");
		return ret;
	}
	ret = crypto_memneq(mac, seal.mac, sizeof(mac)) ? -EACCES : 0;
	memzero_explicit(mac, sizeof(mac));
	if (ret) {
		NL_SET_ERR_MSG_ATTR(info->extack, a, "the seal is not the mirror's");
		return ret;
	}
	g->lock.counter = seal.counter;
	return 0;
}
