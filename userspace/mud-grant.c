// SPDX-License-Identifier: MIT
/*
 * Grants of access list entries: a pair of entries, one of either policy, is one way to talk, and
 * one grant. Import makes channels of grants; export asks which grants the entries make that the
 * profile has kept. Both therefore see the same grants of the same entries.
 */
#include "mud-acl.h"

#include <netinet/in.h>
#include <string.h>

bool hg_mud_ports_equal(const struct hg_mud_ports *a, const struct hg_mud_ports *b)
{
	for (unsigned int i = 0; i < a->n; i++)
		if (i >= b->n || a->r[i].min != b->r[i].min || a->r[i].max != b->r[i].max)
			return false;
	return a->n == b->n;
}

/* What opens with a packet that no list lets through is never there. */
bool hg_mud_granted(const struct hg_mud_grant *g, int family)
{
	return g->directions[family] & (g->opener == HG_MUD_DEVICE ? HG_MUD_FROM : HG_MUD_TO);
}

bool hg_mud_answered(const struct hg_mud_grant *g, int family)
{
	return g->directions[family] == (HG_MUD_FROM | HG_MUD_TO);
}

static void note(struct hg_mud *m, struct hg_mud_ace *a, const char *what)
{
	a->keep = true;
	hg_mud_note(m, a->path, "%s", what);
}

static int find(const struct hg_mud *m, const struct hg_mud_grant *like)
{
	for (size_t i = 0; i < m->n_grants; i++) {
		const struct hg_mud_grant *g = &m->grants[i];

		if (g->opener == like->opener && g->proto == like->proto &&
		    hg_mud_ports_equal(&g->ports, &like->ports) && !strcmp(g->remote, like->remote))
			return (int)i;
	}
	return -1;
}

static void attach(struct hg_mud *m, struct hg_mud_ace *a, enum hg_mud_opener opener,
		   const struct hg_mud_ports *ports)
{
	struct hg_mud_grant like = { .name = a->name,
				     .remote = a->remote,
				     .opener = opener,
				     .proto = a->proto,
				     .ports = *ports };
	int i = find(m, &like);

	if (i < 0) {
		i = (int)m->n_grants++;
		m->grants[i] = like;
	}
	for (int family = 0; family < 2; family++)
		if (a->families & (family ? HG_MUD_V6 : HG_MUD_V4))
			m->grants[i].directions[family] |= a->direction;
	a->grants[a->grants[0] >= 0] = i;
}

/*
 * Who opens: the entry says it itself, or it is the side whose port it does not name. An entry
 * without any port speaks for its own direction; one both ways lets both open.
 */
static void attach_entry(struct hg_mud *m, struct hg_mud_ace *a)
{
	bool device = a->opener == HG_MUD_DEVICE || (!a->opener && a->far.n);
	bool remote = !device && (a->opener == HG_MUD_REMOTE || a->near.n);

	if (device && a->near.n)
		note(m, a, "a profile does not test the device's port; the channel takes more");
	if (remote && a->far.n)
		note(m, a,
		     "a profile does not test the remote's port where the remote opens; the "
		     "channel takes more");
	if (device)
		attach(m, a, HG_MUD_DEVICE, &a->far);
	else if (remote)
		attach(m, a, HG_MUD_REMOTE, &a->near);
}

static bool unsaid(const struct hg_mud_ace *a)
{
	return !a->lost && !a->opener && !a->near.n && !a->far.n;
}

static void attach_unsaid(struct hg_mud *m, struct hg_mud_ace *a)
{
	static const struct hg_mud_ports any;
	bool icmp = a->proto == IPPROTO_ICMP || a->proto == IPPROTO_ICMPV6;
	bool both = false;

	for (size_t i = 0; i < m->n_aces; i++) {
		const struct hg_mud_ace *b = &m->aces[i];

		if (unsaid(b) && b->direction != a->direction && b->proto == a->proto &&
		    b->families & a->families && !strcmp(b->remote, a->remote))
			both = true;
	}
	if (both || a->direction == HG_MUD_FROM)
		attach(m, a, HG_MUD_DEVICE, &any);
	if ((both && !icmp) || (!both && a->direction == HG_MUD_TO))
		attach(m, a, HG_MUD_REMOTE, &any);
}

/*
 * The device may send from a port to which nobody may open. Of UDP and the like a channel without
 * ports has it.
 */
static void turn_around(struct hg_mud *m, int index)
{
	struct hg_mud_grant *g = &m->grants[index];
	bool tcp_said = false;

	for (size_t i = 0; i < m->n_aces; i++)
		if (m->aces[i].grants[0] == index && m->aces[i].opener)
			tcp_said = true;
	if (g->opener != HG_MUD_REMOTE || tcp_said || hg_mud_granted(g, 0) || hg_mud_granted(g, 1))
		return;
	g->opener = HG_MUD_DEVICE;
	g->ports.n = 0;
	for (size_t i = 0; i < m->n_aces; i++)
		if (m->aces[i].grants[0] == index)
			note(m, &m->aces[i],
			     "a profile does not test the device's port; the "
			     "channel takes more");
}

/* Entries of a list in which an entry that drops stands before others keep their order. */
static void keep_order(struct hg_mud *m)
{
	for (size_t i = 0; i < m->n_aces; i++) {
		bool before = false;

		for (size_t j = i + 1; m->aces[i].drop && j < m->n_aces; j++)
			before |= m->aces[j].list == m->aces[i].list &&
				  m->aces[j].direction == m->aces[i].direction && !m->aces[j].drop;
		for (size_t j = 0; before && j < m->n_aces; j++)
			if (m->aces[j].list == m->aces[i].list &&
			    m->aces[j].direction == m->aces[i].direction)
				m->aces[j].keep = true;
	}
}

/* An entry is kept with all that make the same grants: they are written back together. */
static void spread_keep(struct hg_mud *m)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < m->n_aces; i++) {
			struct hg_mud_ace *a = &m->aces[i];

			for (int k = 0; k < 2; k++) {
				bool *keep;

				if (a->grants[k] < 0)
					continue;
				keep = &m->grants[a->grants[k]].keep;
				if (*keep == a->keep)
					continue;
				*keep = a->keep = changed = true;
			}
		}
	}
}

/* Entries of one direction to which the other has nothing. */
static void note_alone(struct hg_mud *m)
{
	for (size_t i = 0; i < m->n_aces; i++) {
		struct hg_mud_ace *a = &m->aces[i];
		bool granted = false;

		for (int k = 0; k < 2 && a->grants[k] >= 0; k++) {
			const struct hg_mud_grant *g = &m->grants[a->grants[k]];

			for (int family = 0; family < 2; family++)
				if (a->families & (family ? HG_MUD_V6 : HG_MUD_V4))
					granted |= hg_mud_granted(g, family);
		}
		if (a->lost || granted)
			continue;
		a->lost = true;
		note(m, a, "answers only, to what no entry lets be asked; no channel");
	}
}

void hg_mud_grant_all(struct hg_mud *m)
{
	m->n_grants = 0;
	for (size_t i = 0; i < m->n_aces; i++)
		if (!m->aces[i].lost && !unsaid(&m->aces[i]))
			attach_entry(m, &m->aces[i]);
	for (size_t i = 0; i < m->n_aces; i++)
		if (unsaid(&m->aces[i]))
			attach_unsaid(m, &m->aces[i]);
	for (size_t i = 0; i < m->n_grants; i++)
		turn_around(m, (int)i);
	note_alone(m);
	keep_order(m);
	spread_keep(m);
}
