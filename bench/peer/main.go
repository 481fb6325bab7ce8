// The peer that Kohort is measured against: the two fast calls as a careful Go developer writes them, with gin, a pgx pool of as
// many connections as Kohort opens, statements prepared by pgx, and the right indexes. It asks for no credential and keeps no
// history, so that each of its calls has less to do than ours.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v4/pgxpool"
)

const segmentsOfUser = `
	SELECT segments.slug
	FROM peer.memberships JOIN peer.segments ON segments.id = memberships.segment_id
	WHERE memberships.user_id = $1`

const addToSegment = `
	INSERT INTO peer.memberships (user_id, segment_id)
	SELECT $1, segments.id FROM peer.segments WHERE segments.slug = $2
	ON CONFLICT DO NOTHING`

type addition struct {
	Slug string `json:"slug" binding:"required"`
}

type handlers struct {
	// Not the request's own: pgx watches a context that can be cancelled, which costs a little on every query.
	ctx  context.Context
	pool *pgxpool.Pool
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = 16
	config.ConnConfig.RuntimeParams["application_name"] = "peer"
	ctx := context.Background()
	pool, err := pgxpool.ConnectConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	h := handlers{ctx, pool}
	router := gin.New()
	router.GET("/api/users/:id/segments", h.list)
	router.POST("/api/users/:id/segments", h.add)
	log.Fatal(router.Run("127.0.0.1:" + os.Getenv("PORT")))
}

func (h handlers) list(c *gin.Context) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"message": "the id is not a number"})
		return
	}
	slugs, err := h.slugsOf(id)
	if err != nil {
		c.JSON(http.StatusInternalServerError, gin.H{"message": err.Error()})
		return
	}
	c.JSON(http.StatusOK, gin.H{"segments": slugs})
}

func (h handlers) slugsOf(user int64) ([]string, error) {
	rows, err := h.pool.Query(h.ctx, segmentsOfUser, user)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	slugs := make([]string, 0, 16)
	for rows.Next() {
		var slug string
		if err := rows.Scan(&slug); err != nil {
			return nil, err
		}
		slugs = append(slugs, slug)
	}
	return slugs, rows.Err()
}

func (h handlers) add(c *gin.Context) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"message": "the id is not a number"})
		return
	}
	var wanted addition
	if err := c.ShouldBindJSON(&wanted); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"message": err.Error()})
		return
	}
	if _, err := h.pool.Exec(h.ctx, addToSegment, id, wanted.Slug); err != nil {
		c.JSON(http.StatusInternalServerError, gin.H{"message": err.Error()})
		return
	}
	c.JSON(http.StatusOK, gin.H{"status": "ok"})
}
