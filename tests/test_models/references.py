"""The paper's equations written as slow loops, to hold the vectorized code against."""

import math

import torch


def info_nce(images, texts, temperature, reduction="mean", image_weight=0.5):
    """Eq. 1-3 over one batch; with a weight, ConVIRT's eq. 4."""
    n = len(images)
    total = {"i2t": 0.0, "t2i": 0.0}
    for i in range(n):
        for name, queries, keys in (("i2t", images, texts), ("t2i", texts, images)):
            terms = [torch.exp(torch.dot(queries[i], keys[j]) / temperature) for j in range(n)]
            total[name] = total[name] - torch.log(terms[i] / sum(terms)) / n
    if reduction == "sum":
        return total["i2t"] + total["t2i"]
    return image_weight * total["i2t"] + (1 - image_weight) * total["t2i"]


def soft_info_nce(images, texts, weights, temperature, text_weights=None):
    """Cross-entropy with targets in proportion to weights w[i][j]; those of text i and image j may be others."""
    n = len(images)
    total = 0.0
    for queries, keys, w in ((images, texts, weights), (texts, images, text_weights or weights)):
        for i in range(n):
            terms = [torch.exp(torch.dot(queries[i], keys[j]) / temperature) for j in range(n)]
            for j in range(n):
                total = total - w[i][j] / sum(w[i]) * torch.log(terms[j] / sum(terms)) / (2 * n)
    return total


def cosine(a, b):
    """Of two lists of numbers; 0 where one is of zeros."""
    norms = [math.sqrt(sum(value**2 for value in vector)) for vector in (a, b)]
    return sum(x * y for x, y in zip(a, b, strict=True)) / (norms[0] * norms[1]) if all(norms) else 0.0


def tf_idf_cosine(reports):
    """Cosines of reports (lists of pieces) by the pieces that they have, rare ones counting more."""
    n = len(reports)
    vectors = []
    for report in reports:
        pieces = {piece: report.count(piece) for piece in report}
        vectors.append({p: count * math.log(n / sum(p in other for other in reports)) for p, count in pieces.items()})
    norms = [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]
    products = [[sum(a.get(piece, 0) * value for piece, value in b.items()) for b in vectors] for a in vectors]
    return [[products[i][j] / (norms[i] * norms[j]) for j in range(n)] for i in range(n)]


def triplet(images, texts, margin, num_negatives=1):
    """Hinge on the hardest negatives of one batch, both ways."""
    n = len(images)
    total = 0.0
    for queries, keys in ((images, texts), (texts, images)):
        for i in range(n):
            positive = torch.dot(queries[i], keys[i])
            hinges = [margin + torch.dot(queries[i], keys[j]) - positive for j in range(n) if j != i]
            hinges = sorted((h if h > 0 else 0 * h for h in hinges), key=float, reverse=True)[:num_negatives]
            total = total + sum(hinges) / len(hinges) / n
    return total


def weldon_pooling(regions, weight, bias, k):
    """Mean of the k highest and of the k lowest activations of each map, for one image."""
    pooled = []
    for w, b in zip(weight, bias, strict=True):
        ordered = sorted((torch.dot(region, w) + b for region in regions), key=float)
        pooled.append(sum(ordered[-k:]) / k + sum(ordered[:k]) / k)
    return torch.stack(pooled)


def sigmoid_loss(images, texts, temperature, bias):
    """SigLIP's equation over one batch."""
    total = 0.0
    for i in range(len(images)):
        for j in range(len(texts)):
            z = 1 if i == j else -1
            logit = temperature * float(torch.dot(images[i], texts[j])) + bias
            total += math.log(1 + math.exp(-z * logit))
    return total / len(images)


def attention(tokens, context, mask, query, key, value, output):
    """Eq. 4 for one sample; the weights as torch.nn.Linear stores them."""
    out = []
    for j in range(len(tokens)):
        q = query @ tokens[j]
        logits = {k: torch.dot(q, key @ context[k]) / math.sqrt(len(q)) for k in range(len(context)) if mask[k]}
        denominator = sum(torch.exp(v) for v in logits.values())
        mixed = sum(torch.exp(v) / denominator * (value @ context[k]) for k, v in logits.items())
        out.append(output @ mixed)
    return torch.stack(out)


def similarity_attention(tokens, context, mask, temperature):
    out = []
    for token in tokens:
        weights = [torch.exp(torch.dot(token, context[k]) / temperature) if mask[k] else 0 for k in range(len(context))]
        out.append(sum(w * context[k] for k, w in enumerate(weights)) / sum(weights))
    return torch.stack(out)


def normalize_weight(weight, mask, low=0.1, high=0.9):
    """Clip to own quantiles over the real tokens of one sample, sum to 1."""
    real = [w for w, m in zip(weight, mask, strict=True) if m]
    ordered = sorted(float(w) for w in real)

    def quantile(q):
        position = q * (len(ordered) - 1)
        below = math.floor(position)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (position - below) * (ordered[above] - ordered[below])

    clipped = [
        min(max(float(w), quantile(low)), quantile(high)) if m else 0.0 for w, m in zip(weight, mask, strict=True)
    ]
    return torch.tensor(clipped, dtype=weight.dtype) / sum(clipped)


def token_info_nce(tokens, contexts, weight, mask, temperature):
    """Eq. 5 over a batch; denominators over real tokens only."""
    total = 0.0
    for x, c, w, m in zip(tokens, contexts, weight, mask, strict=True):
        real = [j for j in range(len(x)) if m[j]]
        for j in real:
            positive = torch.exp(torch.dot(x[j], c[j]) / temperature)
            rows = sum(torch.exp(torch.dot(x[j], c[k]) / temperature) for k in real)
            columns = sum(torch.exp(torch.dot(x[k], c[j]) / temperature) for k in real)
            total = total - w[j] * (torch.log(positive / rows) + torch.log(positive / columns)) / 2
    return total / len(tokens)


def sinkhorn(scores, epsilon=0.05, iterations=3):
    """Algorithm 1 of SwAV, entry by entry."""
    n, k = scores.shape
    q = [[math.exp(float(scores[i][j]) / epsilon) for j in range(k)] for i in range(n)]
    total = sum(map(sum, q))
    q = [[v / total for v in row] for row in q]
    for _ in range(iterations):
        columns = [sum(q[i][j] for i in range(n)) for j in range(k)]
        q = [[q[i][j] / columns[j] / k for j in range(k)] for i in range(n)]
        rows = [sum(row) for row in q]
        q = [[v / rows[i] / n for v in q[i]] for i in range(n)]
    return torch.tensor([[v / sum(row) for v in row] for row in q], dtype=scores.dtype)


def swapped_prediction(image_scores, text_scores, image_codes, text_codes, temperature):
    """Eq. 7-9."""
    n, k = image_scores.shape
    total = 0.0
    for scores, codes in ((image_scores, text_codes), (text_scores, image_codes)):
        for i in range(n):
            denominator = sum(torch.exp(scores[i, j] / temperature) for j in range(k))
            for j in range(k):
                total = total - codes[i, j] * torch.log(torch.exp(scores[i, j] / temperature) / denominator) / n / 2
    return total


def local_similarity(regions, words, mask, word_sharpness=4.0, report_sharpness=5.0):
    """GLoRIA's similarity of one image with one report; padding words do not exist."""
    words = [word for word, real in zip(words, mask, strict=True) if real]
    among = []
    for region in regions:
        terms = [torch.exp(torch.dot(region, word)) for word in words]
        among.append([term / sum(terms) for term in terms])
    total = 0.0
    for index, word in enumerate(words):
        terms = [torch.exp(word_sharpness * among[s][index]) for s in range(len(regions))]
        context = sum(term / sum(terms) * region for term, region in zip(terms, regions, strict=True))
        cosine = torch.dot(context, word) / (context.norm() * word.norm())
        total = total + torch.exp(report_sharpness * cosine)
    return torch.log(total)


def similarity_info_nce(similarity, sharpness):
    """Both directions of InfoNCE on similarities s[image][report], added."""
    n = len(similarity)
    total = 0.0
    for i in range(n):
        row = sum(torch.exp(sharpness * similarity[i][j]) for j in range(n))
        column = sum(torch.exp(sharpness * similarity[j][i]) for j in range(n))
        own = torch.exp(sharpness * similarity[i][i])
        total = total - (torch.log(own / row) + torch.log(own / column)) / n
    return total


def matching(images, texts, classify):
    """Binary cross-entropy of each pair and of each image with the report half a batch away."""
    n = len(images)
    total = 0.0
    for i in range(n):
        own = classify(torch.cat([images[i], texts[i]]))
        other = classify(torch.cat([images[i], texts[(i + n // 2) % n]]))
        total = total + torch.log(1 + torch.exp(-own)) + torch.log(1 + torch.exp(other))
    return total / (2 * n)


def orthogonality(latent, off_diagonal_weight):
    """M-FLAG's: distance of the latent variables' second moments from those of orthogonal ones of unit length."""
    n, channels = latent.shape
    total = 0.0
    for c in range(channels):
        for d in range(channels):
            moment = sum(latent[i, c] * latent[i, d] for i in range(n)) / n
            total = total + ((1 - moment) ** 2 if c == d else off_diagonal_weight * moment**2)
    return total / 2


def merge_word_pieces(pieces, piece_attention, attention_mask, is_continuation):
    """Words, attention and mask of one report, piece by piece."""
    length, channels = pieces.shape
    words = torch.zeros(length - 1, channels, dtype=pieces.dtype)
    weights = torch.zeros(length - 1, dtype=piece_attention.dtype)
    mask = torch.zeros(length - 1, dtype=torch.bool)
    slot = -1  # [CLS]
    for t in range(1, length):
        if not attention_mask[t]:
            continue
        if not is_continuation[t]:
            slot += 1
        if slot >= 0:
            words[slot] += pieces[t]
            weights[slot] += piece_attention[t]
            mask[slot] = True
    return words, weights, mask


def lstm_decoder(decoder, piece_ids, regions):
    """States of LSTMDecoder for one report, step by step, from its parameters."""
    lstm, dims = decoder.lstm, decoder.embed_dims
    both = torch.tanh(decoder.initial_state.weight @ regions.mean(0) + decoder.initial_state.bias)
    hidden, cell = both[:dims], both[dims:]
    states = []
    for piece in piece_ids:
        gates = lstm.weight_ih_l0 @ decoder.embedding.weight[piece] + lstm.bias_ih_l0
        gates = gates + lstm.weight_hh_l0 @ hidden + lstm.bias_hh_l0
        i, f, g, o = (gates[k * dims : (k + 1) * dims] for k in range(4))
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        terms = [torch.exp(torch.dot(hidden, decoder.attention.weight @ v) / math.sqrt(dims)) for v in regions]
        attended = sum(term / sum(terms) * v for term, v in zip(terms, regions, strict=True))
        states.append(torch.tanh(decoder.output.weight @ torch.cat([attended, hidden]) + decoder.output.bias))
    return states


def multi_head_attention(module, states, context, causal):
    """One attention of MemoryTransformerDecoder for one report: head by head, state by state."""
    dims, size = len(states[0]), len(states[0]) // module.heads
    both = [module.key_value.weight @ v + module.key_value.bias for v in context]
    slots = [] if module.memory is None else list(module.memory)
    out = []
    for t, state in enumerate(states):
        query = module.query.weight @ state + module.query.bias
        seen = [*(both[: t + 1] if causal else both), *slots]
        heads = []
        for h in range(module.heads):
            part = slice(h * size, (h + 1) * size)
            terms = [torch.exp(torch.dot(query[part], kv[:dims][part]) / math.sqrt(size)) for kv in seen]
            heads.append(sum(term / sum(terms) * kv[dims:][part] for term, kv in zip(terms, seen, strict=True)))
        out.append(module.output.weight @ torch.cat(heads) + module.output.bias)
    return out


def layer_norm(norm, x):
    centered = x - x.mean()
    return centered / torch.sqrt((centered**2).mean() + norm.eps) * norm.weight + norm.bias


def memory_transformer_decoder(decoder, piece_ids, regions):
    """States of MemoryTransformerDecoder for one report."""
    states = [decoder.embedding.weight[piece] + decoder.position.weight[t] for t, piece in enumerate(piece_ids)]
    for layer in decoder.layers:
        added = multi_head_attention(layer.self_attention, states, states, causal=True)
        states = [layer_norm(layer.norms[0], s + a) for s, a in zip(states, added, strict=True)]
        added = multi_head_attention(layer.region_attention, states, regions, causal=False)
        states = [layer_norm(layer.norms[1], s + a) for s, a in zip(states, added, strict=True)]
        first, second = layer.feedforward[0], layer.feedforward[2]
        added = [second.weight @ torch.clamp(first.weight @ s + first.bias, min=0) + second.bias for s in states]
        states = [layer_norm(layer.norms[2], s + a) for s, a in zip(states, added, strict=True)]
    return states
